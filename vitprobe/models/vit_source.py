"""Our own Vision Transformers: built with options, which a checkpoint tells of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from inspect import signature

from torch import nn

from vitprobe.errors import InputError
from vitprobe.models import stored
from vitprobe.models.architecture import (
    OPTIONS,
    Architecture,
    Told,
    given_options,
    guessed_heads,
    resolved,
)
from vitprobe.models.checkpoints import Checkpoint
from vitprobe.models.source import Frame, Source


class VitSource(Source):
    """One name whose builder takes the options of `architecture.OPTIONS` by keyword.

    tell: what a checkpoint's weights tell of them; what they don't is in its metadata or guessed.
    native: brings a checkpoint into the layout that the builder's models have.
    """

    default_classes = 10
    has_options = True

    def __init__(
        self,
        name: str,
        builder: Callable[..., nn.Module],
        tell: Callable[[Checkpoint], Mapping[str, Told]],
        native: Callable[[Checkpoint], Checkpoint] | None = None,
    ):
        super().__init__(name)
        self.builder, self.tell, self._native = builder, tell, native
        parameters = signature(builder).parameters.values()
        self.options = {  # all of the builder's, also those that nobody can ask for
            parameter.name: parameter.default
            for parameter in parameters
            if parameter.kind is parameter.KEYWORD_ONLY
        }

    @property
    def architecture(self) -> Architecture:
        return {key: self.options[key] for key in OPTIONS}

    def draft(self, given: Architecture) -> Source:
        return self  # what was asked for may fit the checkpoint only

    def native(self, checkpoint: Checkpoint) -> Checkpoint:
        return self._native(checkpoint) if self._native else checkpoint

    def configured(self, given: Architecture, checkpoint: Checkpoint | None) -> Source:
        new, given = copy(self), given_options(given)
        if checkpoint is None:
            new.options = self.options | given
            return new
        told = stored.options(checkpoint.metadata, "dropout") | dict(self.tell(checkpoint))
        if "dim" in told and "heads" not in told:
            told |= stored.options(checkpoint.metadata, "heads")
            if "heads" not in told and "heads" not in given:
                told["heads"] = guessed_heads(self.name, checkpoint.path, told["dim"].value)
                new.remark = f"{told['heads'].value} heads are assumed: the file does not say"
        new.inferred = {
            key: each.value
            for key, each in told.items()
            if each.because and each.value != self.options[key]
        }
        new.options = resolved(self.name, checkpoint.path, self.options, told, given)
        return new

    def default_size(self, fallback: int | None) -> Frame:
        patch = self.options["patch_size"]
        side = fallback or max(32 // patch, 1) * patch
        return side, side

    def build(self, num_classes: int | None, size: Frame | None) -> nn.Module:
        if size[0] != size[1]:
            raise InputError(f"{self.name} takes square images, not {size[0]} x {size[1]} px")
        return self.builder(num_classes=num_classes, image_size=size[0], **self.options)
