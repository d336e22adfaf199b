"""A batch of images as small pictures: as the model sees them, normalisation undone."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

LONGEST = 48  # pixels of a side; larger images are shrunk


def thumbnail_shape(height: int, width: int, channels: int) -> tuple[int, int, int]:
    """(rows, columns, 1 or 3) of the thumbnails of images of this size."""
    scale = min(1.0, LONGEST / max(height, width))
    sides = (max(1, round(side * scale)) for side in (height, width))
    return (*sides, 3 if channels == 3 else 1)


def thumbnails(
    images: Tensor,
    shape: Sequence[int],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Tensor:
    """(n, rows, columns, channels) uint8 of images (n, C, H, W).

    mean, std: of each channel, what was subtracted and divided by. None: nobody knows; an image
    whose values are in 0..1 is taken as it is, any other from its smallest value to its largest.
    """
    x = images.detach().float()
    rows, columns, channels = shape
    if x.shape[1] != channels:
        x, mean, std = x.mean(1, keepdim=True).expand(-1, channels, -1, -1), None, None
    if x.shape[2:] != (rows, columns):
        x = interpolate(x, (rows, columns), mode="area")
    if mean is None and std is None:
        low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
        span = (high - low).clamp(min=torch.finfo(x.dtype).tiny)
        x = torch.where((low >= 0) & (high <= 1), x, (x - low) / span)
    else:
        x = x * _channels(std or (1.0,) * channels, x) + _channels(mean or (0.0,) * channels, x)
    return (x.clamp(0, 1) * 255).round().nan_to_num(0).byte().permute(0, 2, 3, 1)


def _channels(values: Sequence[float], like: Tensor) -> Tensor:
    """One value for each channel, beside (n, C, H, W)."""
    return torch.tensor(values, dtype=like.dtype).to(like.device)[: like.shape[1], None, None]
