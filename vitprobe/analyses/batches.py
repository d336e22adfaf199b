"""Batches on the device, and what a pass over them has to tell."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vitprobe.analyses.inputs import Inputs, say
from vitprobe.analyses.schedule import queued
from vitprobe.analyses.subjects import Subject
from vitprobe.analyses.timing import Stopwatch
from vitprobe.data.layout import listed
from vitprobe.data.model_input import ModelInput, distinct, joined, tensors_of
from vitprobe.errors import InputError
from vitprobe.taps.survey import too_few

Found = tuple[list[Tensor | ModelInput], int]  # images for each subject, how many


def batches(inputs: Inputs, watch: Stopwatch) -> Iterator[Found]:
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


def leading(found: Iterator[Found]) -> tuple[list[Tensor | ModelInput], Iterator[Found]]:
    """The first examples of the data that hold 4 distinct ones for every subject, for a survey; and
    all batches.

    Batches that lack them are held as the few examples that they repeat, however many they are.
    Raises InputError where there are no 4.
    """
    held: list[tuple[list, list[int], int]] = []
    before, fewest, seen = None, 0, 0
    for images, n in found:
        seen += n
        both = images
        if before is not None:
            both = [joined(a, b) for a, b in zip(before, images, strict=True)]
        fewest = min(len(distinct(tensors_of(view), 4)[0]) for view in both)
        if fewest == 4:
            return both, _replayed(held, images, n, found)
        rows, places = distinct([x for view in both for x in tensors_of(view)])
        before = [view[rows] for view in both]
        held.append((before, places[-n:], n))
    raise InputError(too_few(fewest, seen))


def _replayed(held: list, images: list | None, n: int, rest: Iterator[Found]) -> Iterator[Found]:
    for few, places, count in held:
        yield [view[places] for view in few], count
    held.clear()
    yield images, n
    images = None  # not held any longer
    yield from rest


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
        say(notes, f"{len(skipped)} unreadable images were skipped: {listed(skipped)}")


def no_memory(subject: Subject, n: int) -> InputError:
    """What to raise where a batch of n images is more than the device can hold."""
    return InputError(f"{subject.label}: no memory for a batch of {n}: use a smaller batch size")
