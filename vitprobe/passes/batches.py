"""Batches on the device, and the first examples of the data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from vitprobe.data.batch import Wanted
from vitprobe.data.model_input import ModelInput, distinct, joined, tensors_of
from vitprobe.errors import InputError
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.schedule import queued
from vitprobe.passes.subjects import Subject
from vitprobe.passes.timing import Stopwatch
from vitprobe.taps.survey import too_few

View = Tensor | ModelInput  # what one model is given of some examples


@dataclass
class Shown:
    """A batch as the models are shown it.

    number: over all passes, from 0. views: for each subject, on the device; n: how many examples (0
    where all images were skipped). labels: (n,) int64, or None. index: (n,) int64, places in the
    data.
    """

    number: int
    views: Sequence[View]
    n: int
    labels: Tensor | None = None
    index: Tensor | None = None


def batches(inputs: Inputs, watch: Stopwatch, wanted: Wanted | None = None) -> Iterator[Shown]:
    """The batches whose numbers are wanted (None: all); reading counts as `data`."""
    numbered = inputs.loader.numbered
    loaded = numbered() if wanted is None else numbered(wanted)
    while True:
        with watch("data"):
            number, batch = next(loaded, (-1, None))
            if number < 0:
                return
            views = [] if batch is None else _on_device(batch.images, inputs)
        if batch is None:
            yield Shown(number, views, 0)
        else:
            yield Shown(number, views, len(batch.index), batch.labels, batch.index)


def leading(found: Iterator[Shown], needed: int) -> tuple[list[View], Iterator[Shown]]:
    """The first examples of the data that hold so many distinct ones for every subject; and all
    batches.

    Batches that lack them are held as the few examples that they repeat, however many they are.

    Raises:
        InputError: there are not so many.
    """
    held: list[tuple[Shown, list[int]]] = []
    before, fewest, seen = None, 0, 0
    for batch in found:
        if not batch.n:
            held.append((batch, []))
            continue
        seen += batch.n
        both = batch.views
        if before is not None:
            both = [joined(a, b) for a, b in zip(before, batch.views, strict=True)]
        fewest = min(len(distinct(tensors_of(view), needed)[0]) for view in both)
        if fewest == needed:
            return both, _replayed(held, batch, found)
        rows, places = distinct([x for view in both for x in tensors_of(view)])
        before = [view[rows] for view in both]
        few = Shown(batch.number, before, batch.n, batch.labels, batch.index)
        held.append((few, places[-batch.n :]))
    if needed > 1:
        raise InputError(too_few(fewest, seen))
    raise InputError("there are no images")


def _replayed(
    held: list[tuple[Shown, list[int]]], batch: Shown | None, rest: Iterator[Shown]
) -> Iterator[Shown]:
    for few, places in held:
        views = [view[places] for view in few.views] if few.n else []
        yield Shown(few.number, views, few.n, few.labels, few.index)
    held.clear()
    yield batch
    batch = None  # not held any longer
    yield from rest


def no_memory(subject: Subject, n: int) -> InputError:
    """What to raise where a batch of n images is more than the device can hold."""
    return InputError(f"{subject.label}: no memory for a batch of {n}: use a smaller batch size")


def _on_device(images: Sequence[View], inputs: Inputs) -> list[View]:
    """Copies on the device, since a model may write to its input; numbers in the model's type."""

    def there(view: View, subject: Subject) -> View:
        def each(x: Tensor) -> Tensor:
            dtype = subject.dtype if x.is_floating_point() else x.dtype
            return queued(x, inputs.device, dtype)

        return view.map(each) if isinstance(view, ModelInput) else each(view)

    return [there(view, subject) for view, subject in zip(images, inputs.subjects, strict=True)]
