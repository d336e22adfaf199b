"""What a module wants done to an image, as far as it says."""

from __future__ import annotations

from timm.data import resolve_data_config
from torch import nn

from vitprobe.data import Transform


def input_channels(model: nn.Module) -> int:
    """1 for a model of grey images, as it states or its first convolution shows; else 3."""
    stated = getattr(model, "in_chans", getattr(getattr(model, "config", None), "num_channels", 0))
    if stated:
        return 1 if stated == 1 else 3
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    return 1 if first is not None and first.in_channels == 1 else 3


def transform_of(model: nn.Module) -> Transform:
    """The transform of a model of ours, the configuration of one of timm's, else an open one.

    timm's crop, interpolation and normalisation are those of `model.pretrained_cfg`; its image
    size is the one that the patch embedding was built for, where there is one.
    """
    own = getattr(model, "transform", None)
    if isinstance(own, Transform):
        return own
    config, channels = getattr(model, "pretrained_cfg", None), input_channels(model)
    if not isinstance(config, dict) or "mean" not in config:
        return Transform(channels=channels)
    data = resolve_data_config(pretrained_cfg=config)
    built_for = getattr(getattr(model, "patch_embed", None), "img_size", None)
    return Transform(
        image_size=built_for or data["input_size"][1:],
        mean=data["mean"],
        std=data["std"],
        crop_pct=data["crop_pct"],
        interpolation=data["interpolation"],
        channels=channels,
    )
