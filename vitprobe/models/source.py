"""Where the models of one name come from: what every kind of name must be able to say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from vitprobe.data import Transform
from vitprobe.errors import InputError
from vitprobe.models.architecture import Architecture, refuse_options

if TYPE_CHECKING:
    from vitprobe.models.checkpoints import Checkpoint

Frame = tuple[int, int]  # height and width in pixels


@dataclass(frozen=True)
class SizeRange:
    """The image sides (pixels) that a checkpoint's weights were made for.

    low, high: the smallest and largest side, both allowed.
    usual: the side to take when nobody asks for one.
    because: the keys that say so, with their shapes.
    """

    low: int
    high: float
    usual: int
    because: str


class Source:
    """One name's models. Subclasses: our own, timm's, torchvision's, a user's."""

    def __init__(self, name: str):
        self.name = name

    # Number of classes where neither the caller nor the checkpoint gives one; None: the builder's.
    default_classes: int | None = None
    # Whether the number of classes can be chosen.
    takes_classes: bool = True

    # What `configured` settled for a model with options (see architecture.py); else {}.
    architecture: Mapping[str, Any] = MappingProxyType({})
    # What a reader should know of it: a guess, or "".
    remark: str = ""

    def configured(self, given: Architecture, checkpoint: Checkpoint | None) -> Source:
        """The source of this name's models with the architecture that is given or that the
        checkpoint tells; InputError where they contradict each other, or there is no choice."""
        refuse_options(self.name, given)
        return self

    def native(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint with the names and shapes that this name's models have."""
        return checkpoint

    def default_size(self, fallback: int | None) -> Frame | None:
        """Image size when nothing else decides; `fallback` (the data's, pixels) is only a wish."""
        raise NotImplementedError

    def build(self, num_classes: int | None, size: Frame | None) -> nn.Module:
        """The model with fresh weights from torch's global random numbers."""
        raise NotImplementedError

    def for_pretrained(self) -> Source:
        """The source of this name's pretrained weights; InputError where there are none."""
        raise InputError(
            f"there are no pretrained weights for {self.name}: use {self.name}@FILE or "
            f"{self.name}@random"
        )

    def build_pretrained(self, size: Frame | None) -> tuple[nn.Module, str]:
        """The model with its pretrained weights (may download them), and the weights' name."""
        raise NotImplementedError

    def transform(self, size: Frame | None) -> Transform:
        """What this model wants done to an image; mean and std None: the data set's."""
        return Transform(image_size=size)

    def sizes(
        self, state: Mapping[str, torch.Tensor], shapes: Mapping[str, torch.Size]
    ) -> SizeRange | None:
        """The image sizes that a checkpoint is for, or None if its weights don't tell.

        state: the checkpoint's weights; shapes: this model's own, built at its default size.
        Here: a square positional embedding has one place per patch, so its side grows with the
        image's. Class and register tokens come before the patches and don't grow.
        """
        default = self.default_size(None)
        if default is None or default[0] != default[1]:
            return None
        for key, shape in shapes.items():
            held = state.get(key)
            if not key.endswith(("pos_embed", "pos_embedding")) or held is None:
                continue
            if len(shape) != 3 or held.ndim != 3 or shape[1] == 0:
                continue
            side = math.isqrt(shape[1])
            prefix = shape[1] - side**2
            held_side = math.isqrt(max(held.shape[1] - prefix, 0))
            pixels, rest = divmod(default[0] * held_side, side)
            if held_side and held_side**2 == held.shape[1] - prefix and not rest:
                return SizeRange(pixels, pixels, pixels, f"{key} {tuple(held.shape)}")
        return None


def check_patches(name: str, size: Frame, patch: Frame) -> None:
    """Raise InputError unless a whole number of patches covers the image (both in pixels)."""
    if all(side % step == 0 for side, step in zip(size, patch, strict=True)):
        return
    below = max(size[0] // patch[0], 1) * patch[0]
    raise InputError(
        f"{name} cuts the image into patches of {patch[0]} px, which don't fill "
        f"{size[0]} x {size[1]} px: choose an image size such as {below} or {below + patch[0]}"
    )


def brief(error: BaseException) -> str:
    """An exception in one line: its type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
