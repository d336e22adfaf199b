"""The pass: once through the images, for any number of readers."""

import math
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial

import torch
import xarray as xr

from vitprobe.errors import InputError, SaveFailed, Stopped, VitprobeWarning, option, say, unheard
from vitprobe.ops.wide import wide_home
from vitprobe.passes.batches import Shown, View, batches, leading
from vitprobe.passes.forward import Forwards
from vitprobe.passes.group import Group, Met
from vitprobe.passes.identity import check_same, known, known_parts
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.partial import Saved, check_states, parts_of
from vitprobe.passes.processes import processes
from vitprobe.passes.progress import Ahead, Progress
from vitprobe.passes.provenance import device_name
from vitprobe.passes.reader import Batch, Reader
from vitprobe.passes.results import check_batches, results_of
from vitprobe.passes.room import check_room, metrics_on
from vitprobe.passes.share import Share
from vitprobe.passes.stops import Stops
from vitprobe.passes.sums import Part, Sums
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.timing import Stopwatch

LEAST_BATCHES = 8  # before a tolerance can end a run: errors of fewer are rough themselves


def run(
    inputs: Inputs,
    readers: Sequence[Reader],
    progress: Progress | None = None,
    keeper: Keeper | None = None,
    tolerance: float | None = None,
) -> list[list[xr.Dataset]]:
    """Go through the images once: each model makes one forward a batch for all of the readers.

    Under torchrun each process does its part of the batches, and gives the results of all.

    Args:
        inputs: models and data, from `prepare`.
        readers: analyses, each for this one pass.
        progress: is told what is read, and of the batches.
        keeper: saves the sums on the way, and knows what is there already.
        tolerance: end when every standard error is below this, which is looked at when it is time
            to save, from 8 batches on.

    Returns:
        For each reader its results; [] for a share of a run.

    Raises:
        InputError: what a reader asks for cannot be had, or no batch has as many examples as it
            needs; what was saved is of another run; data that do not come in the same order again
            are to be gone on with, or shared.
        SaveFailed: the sums could not be written; those of before are still there.
        Stopped, KeyboardInterrupt: it was stopped; what was computed is saved.
    """
    keeper = keeper or Keeper()
    with processes(inputs.device) as some:
        group = Group(some, inputs.device, keeper.every)
        with nullcontext() if group.first else unheard():
            told = progress if progress and group.first else Progress()
            sums = Pass(inputs, readers, told, keeper, group, tolerance).run()
            return [] if keeper.of_share else results_of(sums, readers)


class Pass:
    """One pass of some readers; see `run`."""

    def __init__(
        self,
        inputs: Inputs,
        readers: Sequence[Reader],
        progress: Progress,
        keeper: Keeper,
        group: Group,
        tolerance: float | None = None,
    ):
        self.inputs, self.readers, self.progress = inputs, list(readers), progress
        self.keeper, self.group, self.tolerance = keeper, group, tolerance
        if tolerance is not None:
            _check_tolerance(tolerance, keeper, inputs)
        self.watch = Stopwatch(inputs.device)
        self._before: dict[str, float] = {}  # seconds of what was saved
        self._stopped = False  # whether all processes know of it

    def run(self) -> Sums:
        """Everything from the first look at the models to the last batch; the sums of all
        processes."""
        with self.watch("other"), self.inputs.on_device(), self.progress, ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            self._check_order()
            saved = self.group.same(self._earlier)
            found = self._begin(saved)
            for forwards in self.forwards:
                stack.enter_context(forwards.tapped())
            self.progress.begin(self.inputs, self.readers, self._ahead(saved))
            stops = Stops(self.keeper.path is not None or self.group.count > 1)
            return self._go_through(found, stack.enter_context(stops))

    def _check_order(self) -> None:
        """What is done in parts needs data that come in the same order each time."""
        keeper, why = self.keeper, self.inputs.loader.whole_only
        if why and (keeper.resume or keeper.of_share or self.group.count > 1):
            raise InputError(f"no part of these batches can be done: {why}")

    def _earlier(self) -> Saved | None:
        return self.keeper.earlier(known_parts(self.readers, self.inputs))

    def _begin(self, saved: Saved | None) -> Iterator[Shown]:
        """Let the readers look at the models; the batches that are to be done."""
        share, done = self.group.share(self.keeper.share), saved.done if saved else set()
        found = batches(self.inputs, self.watch, lambda t: share.wants(t) and t not in done)
        needed = max(reader.distinct for reader in self.readers)
        if share == Share() and not done:
            few, found = leading(found, needed)
        else:  # every share, and what goes on, looks at the run's own first examples
            few, _ = leading(batches(self.inputs, self.watch), needed)
        with self.watch("survey"), self.inputs.autocast:
            models = [
                Surveyed(subject, number, images)
                for number, (subject, images) in enumerate(
                    zip(self.inputs.subjects, few, strict=True)
                )
            ]
            wants, parts = [], []
            for reader in self.readers:
                check_batches(reader, self.inputs.loader)
                notes: list[str] = []
                wants += [(reader, want) for want in reader.begin(models, self.inputs, notes)]
                reader.about |= {**known(reader, self.inputs), "notes": notes}
            check_room(self.readers, self.inputs, self.group.count)
            for reader in self.readers:
                reader.metrics = metrics_on(wide_home(self.inputs.device), reader, reader.about)
                parts.append(Part(reader.analysis, reader.version, reader.about, reader.metrics))
        loader = self.inputs.loader
        device = device_name(self.inputs.device)
        self.sums = Sums(parts, loader.passes, device, total=loader.total)
        if saved:
            self._take_up(saved)
        self.forwards = [
            Forwards(
                subject, number, [each for each in wants if each[1].subject == number], self.watch
            )
            for number, subject in enumerate(self.inputs.subjects)
        ]
        return found

    def _take_up(self, saved: Saved) -> None:
        check_same(self.keeper.path, saved.parts, parts_of(self.sums))
        check_states(self.keeper.path, saved.states, self.sums.states())
        if self.group.first:  # the others add to it
            self.sums.set_states(saved.states)
            self.sums.add_told({**saved.told(), "total": None})
            self._before = saved.seconds

    def _ahead(self, saved: Saved | None) -> Ahead:
        done, share = saved.done if saved else set(), self.keeper.share
        before = self.sums.examples
        self._met = (before, before)  # examples of all processes, and this one's, as they met
        return Ahead.of(self.inputs.loader, share, self.group.share(share), done, before)

    def _advance(self) -> None:
        """Tell how far it is: of several processes about, until they meet."""
        whole, own = self._met
        about = whole + (self.sums.examples - own) * self.group.count
        alone = self.group.count == 1
        self.progress.advance(about, partial(self._largest_error, self.sums) if alone else None)

    def _go_through(self, found: Iterator[Shown], stops: Stops) -> Sums:
        try:
            for shown in found:
                with stops.held():
                    self._batch(shown)
                self._advance()
                if self.group.due() and self._enough(met := self._meet(stops)):
                    return met.sums
            self.sums.total = self.inputs.loader.total
            while not (met := self._meet(stops, ended=True)).ended:
                pass
            return met.sums
        except (Stopped, KeyboardInterrupt) as stop:
            left = self._left(stops, getattr(stop, "number", signal.SIGINT))
            if isinstance(stop, Stopped):
                stop.left = left
            raise

    def _meet(self, stops: Stops, ended: bool = False, stop: int = 0) -> Met:
        """Bring the sums of all processes together, and save them.

        Raises:
            Stopped: another process was.
        """
        with stops.held():
            self._tell()
            met = self.group.meet(self.sums, self.readers, ended, stop)
            if self.group.count > 1:
                self._met = (met.sums.examples, self.sums.examples)
                self.progress.advance(met.sums.examples, partial(self._largest_error, met.sums))
            self._stopped = bool(met.stop)
            if self.group.first and (met.sums.done or self.keeper.of_share):
                self._save(met)
        if met.stop and not stop:
            raise Stopped(met.stop)
        return met

    def _save(self, met: Met) -> None:
        try:
            self.keeper.save(met.sums)
        except SaveFailed as error:
            if not met.ended or self.keeper.of_share:
                raise
            # all is computed, and results may have a place elsewhere
            warnings.warn(str(error), VitprobeWarning, stacklevel=2)

    def _left(self, stops: Stops, number: int) -> str:
        """Save, unless a batch was left in its middle; what there is to go on from, in words."""
        if stops.whole and not self._stopped:
            try:
                self._meet(stops, stop=number)
            except SaveFailed as error:
                return str(error)
        return self.keeper.left if self.keeper.good else ""

    def _enough(self, met: Met) -> bool:
        """Whether every standard error is below the tolerance, and known well enough to say so."""
        counts = [part.tally.compute()["batches"] for part in met.sums.parts]
        if self.tolerance is None or min(counts) < LEAST_BATCHES:
            return False
        errors = self._errors(met.sums)
        # NaN, none yet, is not below
        if not self.group.same(lambda: all(error < self.tolerance for error in errors)):
            return False
        examples = min(part.tally.compute()["examples"] for part in met.sums.parts)
        met.sums.tolerance = self.tolerance
        say(
            met.sums.notes,
            f"{examples:,} examples were enough: every standard error is below {self.tolerance:g}",
        )
        return True

    def _errors(self, sums: Sums) -> list[float]:
        """Of each reader the largest standard error; NaN where there is none."""
        return [
            reader.largest_error(part.metrics) if part.tally.batches else math.nan
            for reader, part in zip(self.readers, sums.parts, strict=True)
        ]

    def _largest_error(self, sums: Sums) -> float:
        return max((e for e in self._errors(sums) if not math.isnan(e)), default=math.nan)

    def _tell(self) -> None:
        """Bring what is said beside the sums up to date."""
        loader, sums = self.inputs.loader, self.sums
        sums.skipped += [path for path in loader.skipped if path not in sums.skipped]
        sums.notes += [note for note in loader.notes if note not in sums.notes]
        now = self.watch.seconds()
        sums.seconds = {
            part: self._before.get(part, 0.0) + now.get(part, 0.0)
            for part in dict.fromkeys([*self._before, *now])
        }

    def _batch(self, shown: Shown) -> None:
        active = []
        for reader, part in zip(self.readers, self.sums.parts, strict=True):
            counts = shown.n >= reader.least
            part.tally.update(shown.n, counts)
            if counts:
                active.append(reader)
                reader.start(Batch(shown.number, shown.n, shown.labels, shown.index))
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


def _check_tolerance(tolerance: float, keeper: Keeper, inputs: Inputs) -> None:
    name = option("tolerance")
    if not tolerance > 0:
        raise InputError(f"{name} takes a number above 0, not {tolerance:g}")
    if keeper.of_share:
        raise InputError(f"{name} looks at a whole run: it does not go with {option('shard')}")
    if inputs.loader.passes > 1:
        raise InputError(f"{name} ends a run before its last example: give it one pass")
