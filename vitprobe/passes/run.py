"""The pass: once through the images, for any number of readers."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import torch
import xarray as xr

from vitprobe.data.layout import listed
from vitprobe.errors import InputError, say
from vitprobe.passes.batches import Shown, View, batches, leading
from vitprobe.passes.forward import Forwards
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.progress import Progress
from vitprobe.passes.provenance import device_name
from vitprobe.passes.reader import Batch, Ran, Reader
from vitprobe.passes.sums import Part, Sums
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.timing import Stopwatch


def run(
    inputs: Inputs, readers: Sequence[Reader], progress: Progress | None = None
) -> list[list[xr.Dataset]]:
    """Go through the images once: each model makes one forward a batch for all of the readers.

    Args:
        inputs: models and data, from `prepare`.
        readers: analyses, each for this one pass.
        progress: is told what is read, and of the batches.

    Returns:
        For each reader its results.

    Raises:
        InputError: what a reader asks for cannot be had, or no batch has as many examples as it
            needs.
    """
    return results_of(Pass(inputs, readers, progress).run(), readers)


class Pass:
    """One pass of some readers; see `run`."""

    def __init__(self, inputs: Inputs, readers: Sequence[Reader], progress: Progress | None = None):
        self.inputs, self.readers = inputs, list(readers)
        self.progress = progress or Progress()
        self.watch = Stopwatch(inputs.device)

    def run(self) -> Sums:
        """Everything from the first look at the models to the last batch."""
        with self.watch("other"), self.inputs.on_device(), self.progress, ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            found = self._begin(batches(self.inputs, self.watch))
            for forwards in self.forwards:
                stack.enter_context(forwards.tapped())
            self.progress.begin(self.inputs, self.readers)
            for shown in found:
                self._batch(shown)
                self.progress.advance(shown.n)
        self._end()
        return self.sums

    def _begin(self, found: Iterator[Shown]) -> Iterator[Shown]:
        """Let the readers look at the models; all batches."""
        few, found = leading(found, max(reader.distinct for reader in self.readers))
        with self.watch("survey"), self.inputs.autocast:
            models = [
                Surveyed(subject, number, images)
                for number, (subject, images) in enumerate(
                    zip(self.inputs.subjects, few, strict=True)
                )
            ]
            wants, parts = [], []
            for reader in self.readers:
                notes: list[str] = []
                wants += [(reader, want) for want in reader.begin(models, self.inputs, notes)]
                reader.about |= {"facts": reader.facts(self.inputs), "notes": notes}
                parts.append(Part(reader.analysis, reader.version, reader.about, reader.metrics))
        self.sums = Sums(parts, self.inputs.loader.passes, device_name(self.inputs.device))
        self.forwards = [
            Forwards(
                subject, number, [each for each in wants if each[1].subject == number], self.watch
            )
            for number, subject in enumerate(self.inputs.subjects)
        ]
        return found

    def _batch(self, shown: Shown) -> None:
        active = []
        for reader, part in zip(self.readers, self.sums.parts, strict=True):
            counts = shown.n >= reader.least
            part.tally.update(shown.n, counts)
            if counts:
                active.append(reader)
                reader.start(Batch(shown.number, shown.n, shown.labels))
        self._show(shown.views, shown.n, active)
        with self.watch("statistics"):
            for reader in active:
                reader.finish()
        self.sums.done.add(shown.number)

    def _show(self, views: Sequence[View], n: int, active: list[Reader]) -> None:
        with self.watch("forward"), self.inputs.autocast:
            for forwards, view in zip(self.forwards, views, strict=bool(n)):
                forwards.run(view, n, active)
                forwards.run_own(view, n, active)

    def _end(self) -> None:
        loader = self.inputs.loader
        self.sums.total = loader.total
        self.sums.skipped = list(loader.skipped)
        self.sums.notes = list(loader.notes)
        self.sums.seconds = self.watch.seconds()


def results_of(sums: Sums, readers: Sequence[type[Reader] | Reader]) -> list[list[xr.Dataset]]:
    """The results that sums give, for each reader (or its class).

    Raises:
        InputError: there are no images, or no batch had as many as a reader needs.
    """
    shared: list[str] = []
    if sums.skipped:
        say(shared, f"{len(sums.skipped)} unreadable images were skipped: {listed(sums.skipped)}")
    found = []
    for part, reader in zip(sums.parts, readers, strict=True):
        tally = part.tally.compute()
        notes = [*part.about["notes"], *shared, *sums.notes]
        if not tally["examples"]:
            raise InputError(
                f"no batch has {reader.least} examples or more, which {reader.analysis} needs"
                if tally["dropped"]
                else "there are no images"
            )
        if tally["dropped"]:
            less = f"{tally['dropped']} examples were dropped, in batches of fewer than"
            say(notes, f"{less} {reader.least}")
        ran = Ran(
            tally["examples"], tally["batches"], sums.passes, sums.device, sums.seconds, notes
        )
        found.append(reader.results(part.about, part.metrics, ran))
    return found
