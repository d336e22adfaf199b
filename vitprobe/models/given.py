"""What a module wants done to an image, as far as it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from timm.data import resolve_data_config
from torch import nn

from vitprobe.data import Transform
from vitprobe.models.checkpoints import state_sha256
from vitprobe.models.from_transformers import given_transform

AS_GIVEN = "as given"  # weights that come with a module: trained or not, it does not say


def given_provenance(model: nn.Module) -> dict[str, Any]:
    """What can be said of a module that the user hands over: spec and name (its class), weights,
    weights_sha256 (see `state_sha256`) and parameters. Of one that `load_model` gave its
    `provenance`, as long as it has the weights that it was loaded with."""
    name, digest = type(model).__name__, state_sha256(model.state_dict())
    told = getattr(model, "provenance", None)
    if isinstance(told, dict) and {"name", "weights_sha256"} <= told.keys():
        told = dict(told)
        loaded = told.pop("state_sha256", told["weights_sha256"])
        if digest == loaded:
            return told
        note = f"{told['name']}: weights that were changed since they were loaded"
        return told | {"weights": AS_GIVEN, "weights_sha256": digest, "note": note}
    return {
        "spec": name,
        "name": name,
        "weights": AS_GIVEN,
        "weights_sha256": digest,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def input_channels(model: nn.Module) -> int:
    """1 for a model of grey images, as it states or its first convolution shows; else 3."""
    stated = getattr(model, "in_chans", getattr(getattr(model, "config", None), "num_channels", 0))
    if stated:
        return 1 if stated == 1 else 3
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    return 1 if first is not None and first.in_channels == 1 else 3


def transform_of(model: nn.Module) -> Transform:
    """The transform of a model of ours, the configuration of one of timm's, of one of transformers'
    what its image processor says, else an open one.

    timm's crop, interpolation and normalisation are those of `model.pretrained_cfg`; its image
    size is the one that the patch embedding was built for, where there is one.
    """
    own = getattr(model, "transform", None)
    if isinstance(own, Transform):
        return own
    config, channels = getattr(model, "pretrained_cfg", None), input_channels(model)
    if hasattr(getattr(model, "config", None), "model_type"):  # a PreTrainedModel
        return replace(given_transform(model), channels=channels)
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
