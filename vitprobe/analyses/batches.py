"""Batches on the device, and what a pass over them has to tell."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vitprobe.analyses.inputs import Inputs, Subject, say
from vitprobe.analyses.schedule import queued
from vitprobe.analyses.timing import Stopwatch
from vitprobe.data.model_input import ModelInput
from vitprobe.errors import InputError


def batches(inputs: Inputs, watch: Stopwatch) -> Iterator[tuple[list[Tensor | ModelInput], int]]:
    """(images for each subject, how many) of every batch; reading counts as `data`."""
    loaded = iter(inputs.loader)
    while True:
        with watch("data"):
            batch = next(loaded, None)
            if batch is None:
                return
            images = [
                for_model(view, subject, inputs.device)
                for view, subject in zip(batch.images, inputs.subjects, strict=True)
            ]
        yield images, len(batch.index)


def for_model(
    view: Tensor | ModelInput, subject: Subject, device: torch.device
) -> Tensor | ModelInput:
    """A copy on the device, since a model may write to its input; numbers in the model's type."""

    def each(x: Tensor) -> Tensor:
        return queued(x, device, subject.dtype if x.is_floating_point() else x.dtype)

    return view.map(each) if isinstance(view, ModelInput) else each(view)


def tell_skipped(inputs: Inputs, notes: list[str]) -> None:
    """Say which images could not be read."""
    if skipped := inputs.loader.skipped:
        listed = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        say(notes, f"{len(skipped)} unreadable images were skipped: {listed}")


def no_memory(subject: Subject, n: int) -> InputError:
    """What to raise where a batch of n images is more than the device can hold."""
    return InputError(f"{subject.label}: no memory for a batch of {n}: use a smaller batch size")
