"""Where the models of one name come from: what every kind of name must be able to say."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from vitprobe.data import Transform
from vitprobe.errors import InputError
from vitprobe.models.architecture import Architecture, refuse_options
from vitprobe.models.checkpoints import Checkpoint
from vitprobe.models.image_sizes import Frame, ImageSizes, sizes_of_positions


class Source:
    """One name's models. Subclasses: our own, timm's, torchvision's, a user's."""

    def __init__(self, name: str):
        self.name = name

    # Number of classes where neither the caller nor the checkpoint gives one; None: the builder's.
    default_classes: int | None = None
    # Whether the number of classes can be chosen.
    takes_classes: bool = True
    # Whether its models end in a classifier.
    has_classifier: bool = True

    # Whether it has the options of architecture.py.
    has_options: bool = False
    # What `configured` settled for a model with options (see architecture.py); else {}.
    architecture: Mapping[str, Any] = MappingProxyType({})
    # The constructor's arguments that the weights told, where they differ from the name's own.
    inferred: Mapping[str, Any] = MappingProxyType({})
    # Those of them that were guessed; `remark` says so.
    guessed: tuple[str, ...] = ()
    # The commit of a hub's repository, or "".
    revision: str = ""
    # What a reader should know of it: a guess, or "".
    remark: str = ""

    def configured(self, given: Architecture, checkpoint: Checkpoint | None) -> Source:
        """The source of this name's models with the arguments that are given or that the
        checkpoint tells; InputError where they contradict each other, or there is no choice."""
        refuse_options(self.name, given)
        return self

    def draft(self, given: Architecture) -> Source:
        """The source before a checkpoint is known, whose weights' names are to be looked for."""
        return self.configured(given, None)

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
        self,
        state: Mapping[str, torch.Tensor],
        shapes: Mapping[str, torch.Size],
        asked: Frame | None,
    ) -> ImageSizes | None:
        """The image sizes that a checkpoint is for, or None if its weights don't tell.

        state: the checkpoint's weights; shapes: this model's own, built at its default size;
        asked: the size that was asked for, which settles what weights leave open.
        """
        return sizes_of_positions(state, shapes, self.default_size(None), asked)


def check_patches(name: str, size: Frame, patch: Frame) -> None:
    """Raise InputError unless a whole number of patches covers the image (both in pixels)."""
    if all(side % step == 0 for side, step in zip(size, patch, strict=True)):
        return
    below = max(size[0] // patch[0], 1) * patch[0]
    raise InputError(
        f"{name} cuts the image into patches of {patch[0]} px, which don't fill "
        f"{size[0]} x {size[1]} px: choose an image size such as {below} or {below + patch[0]}"
    )
