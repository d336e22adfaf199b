"""Our own names: small models for small images, built at the data's size and class count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from inspect import signature
from typing import Any

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from vitprobe.data import Transform
from vitprobe.models.architecture import Architecture, refuse_options
from vitprobe.models.checkpoints import Checkpoint
from vitprobe.models.from_timm import TimmSource
from vitprobe.models.image_sizes import Frame, ImageSizes
from vitprobe.models.lambda_resnet import lambda_resnet
from vitprobe.models.resnet import resnet, stem_sizes
from vitprobe.models.resnet_cifar import resnet_cifar
from vitprobe.models.shapes import shape_of
from vitprobe.models.source import Source
from vitprobe.models.vit import vit, vit_told
from vitprobe.models.vit_small_data import vit_small_data, vit_small_data_told
from vitprobe.models.vit_source import VitSource
from vitprobe.models.vit_zhu2023 import ViTZhu2023
from vitprobe.models.zhu2023_layouts import in_native_layout, zhu2023_told

# name -> builder(num_classes=, image_size=)
OWN: dict[str, Callable[..., nn.Module]] = {
    "vit": vit,
    "vit-zhu2023": ViTZhu2023,
    "vit-small-data": vit_small_data,
    **{f"resnet{depth}": partial(resnet, depth) for depth in (18, 34, 50, 101)},
    **{f"resnet{depth}": partial(resnet_cifar, depth) for depth in (20, 32, 44, 56)},
    **{f"lambda_resnet{depth}": partial(lambda_resnet, depth) for depth in (26, 38, 50)},
}

# Those with options: how a checkpoint tells them, and how its layout is read.
VITS = {
    "vit": (vit_told,),
    "vit-zhu2023": (zhu2023_told, in_native_layout),
    "vit-small-data": (vit_small_data_told,),
}

CHANNELS = ("in_chans",)  # the one argument of ours besides classes and image size

# Short names for models of timm's that studies of small data use.
ALIASES = {
    "mini-vit": "deit_tiny_patch16_224",
    "base-vit": "vit_base_patch16_224",
    "vit-l32": "vit_large_patch32_224",
}


class OwnSource(Source):
    """One of our own names: 10 classes and 32 px unless something says otherwise."""

    default_classes = 10

    def __init__(self, name: str):
        super().__init__(name)
        self.arguments: dict[str, Any] = {}

    def default_size(self, fallback: int | None) -> Frame:
        side = fallback or 32
        return side, side

    def configured(self, given: Architecture, checkpoint: Checkpoint | None) -> Source:
        takes = [key for key in signature(OWN[self.name]).parameters if key in CHANNELS]
        refuse_options(self.name, {k: v for k, v in given.items() if k not in takes})
        shape = shape_of(checkpoint.state, "conv1.weight", 4) if checkpoint and takes else None
        new = copy(self)
        if shape and shape[1] != given.get("in_chans", 3):
            new.inferred = {"in_chans": shape[1]}
        new.arguments = dict(given) | dict(new.inferred)
        return new

    def build(self, num_classes: int | None, size: Frame | None) -> nn.Module:
        builder = OWN[self.name]
        return builder(num_classes=num_classes, image_size=size[0], **self.arguments)


class ResNetSource(OwnSource):
    """resnet18 ... resnet101: a checkpoint's stem tells its image sizes; timm has trained ones."""

    def for_pretrained(self) -> Source:
        return TimmSource(self.name)

    def sizes(
        self,
        state: Mapping[str, torch.Tensor],
        shapes: Mapping[str, torch.Size],
        asked: Frame | None,
    ) -> ImageSizes | None:
        return stem_sizes(state)


class CifarResNetSource(OwnSource):
    """resnet20 ... resnet56: trained, by custom, with ImageNet's mean and standard deviation."""

    def transform(self, size: Frame | None) -> Transform:
        return Transform(size, mean=IMAGENET_DEFAULT_MEAN, std=IMAGENET_DEFAULT_STD)


def own_source(name: str) -> Source:
    """The source of one of our own names (a key of OWN)."""
    if name in VITS:
        return VitSource(name, OWN[name], *VITS[name])
    builder = getattr(OWN[name], "func", OWN[name])
    return {resnet: ResNetSource, resnet_cifar: CifarResNetSource}.get(builder, OwnSource)(name)
