"""Brightness, contrast and saturation of a batch, each image with its own factors."""

from __future__ import annotations

import torch

GREY = (0.2989, 0.587, 0.114)  # torchvision's weights of R, G, B
WHITE = 255


def jitter(
    x: torch.Tensor, brightness: torch.Tensor, contrast: torch.Tensor, saturation: torch.Tensor
) -> torch.Tensor:
    """The three in this order, in place. x: float (b, 3, H, W), 0 to 255; factors: float (b,).

    Each equals torchvision's adjust_brightness, adjust_contrast, adjust_saturation.
    """
    x.mul_(_each(brightness)).clamp_(0, WHITE)
    mean = _grey(x.flatten(2).mean(2))
    x.mul_(_each(contrast)).add_(_each(mean * (1 - contrast))).clamp_(0, WHITE)
    grey = _grey(x)[:, None]
    return x.mul_(_each(saturation)).add_(grey.mul_(_each(1 - saturation))).clamp_(0, WHITE)


def _grey(x: torch.Tensor) -> torch.Tensor:
    """(b, 3, ...) -> (b, ...)."""
    red, green, blue = x.unbind(1)
    return (red * GREY[0]).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2])


def _each(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None, None]
