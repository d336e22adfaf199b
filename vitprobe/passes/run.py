"""The pass: once through the images, for any number of readers."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import torch
import xarray as xr

from vitprobe.data.layout import listed
from vitprobe.errors import InputError, SaveFailed, Stopped, option, say
from vitprobe.passes.batches import Shown, View, batches, leading
from vitprobe.passes.forward import Forwards
from vitprobe.passes.identity import known, known_parts
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.partial import Saved, check_same, check_states, parts_of
from vitprobe.passes.progress import Progress
from vitprobe.passes.provenance import device_name
from vitprobe.passes.reader import Batch, Ran, Reader
from vitprobe.passes.share import Share
from vitprobe.passes.stops import Stops
from vitprobe.passes.sums import Part, Sums
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.timing import Stopwatch


def run(
    inputs: Inputs,
    readers: Sequence[Reader],
    progress: Progress | None = None,
    keeper: Keeper | None = None,
    tolerance: float | None = None,
) -> list[list[xr.Dataset]]:
    """Go through the images once: each model makes one forward a batch for all of the readers.

    Args:
        inputs: models and data, from `prepare`.
        readers: analyses, each for this one pass.
        progress: is told what is read, and of the batches.
        keeper: saves the sums on the way, and knows what is there already.
        tolerance: end when every standard error is below this, which is looked at when it is time
            to save.

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
    sums = Pass(inputs, readers, progress or Progress(), keeper, tolerance).run()
    return [] if keeper.of_share else results_of(sums, readers)


class Pass:
    """One pass of some readers; see `run`."""

    def __init__(
        self,
        inputs: Inputs,
        readers: Sequence[Reader],
        progress: Progress,
        keeper: Keeper,
        tolerance: float | None = None,
    ):
        self.inputs, self.readers, self.progress = inputs, list(readers), progress
        self.keeper, self.tolerance = keeper, tolerance
        if tolerance is not None:
            _check_tolerance(tolerance, keeper, inputs)
        self.watch = Stopwatch(inputs.device)
        self._before: dict[str, float] = {}  # seconds of what was saved

    def run(self) -> Sums:
        """Everything from the first look at the models to the last batch."""
        with self.watch("other"), self.inputs.on_device(), self.progress, ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            self._check_order()
            saved = self.keeper.earlier(known_parts(self.readers, self.inputs))
            found = self._begin(saved)
            for forwards in self.forwards:
                stack.enter_context(forwards.tapped())
            self.progress.begin(self.inputs, self.readers)
            stops = stack.enter_context(Stops(self.keeper.path is not None))
            self._go_through(found, stops)
        return self.sums

    def _check_order(self) -> None:
        """What is done in parts needs data that come in the same order each time."""
        keeper, loader = self.keeper, self.inputs.loader
        if (keeper.resume or keeper.of_share) and not loader.repeats:
            what = option("shard") if keeper.of_share else option("resume")
            raise InputError(
                f"{what} needs batches that are the same each time, and the DataLoader of "
                f"{loader.name} draws its own: give one with shuffle=False, or the data set itself"
            )

    def _begin(self, saved: Saved | None) -> Iterator[Shown]:
        """Let the readers look at the models; the batches that are to be done."""
        share, done = self.keeper.share, saved.done if saved else set()
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
                notes: list[str] = []
                wants += [(reader, want) for want in reader.begin(models, self.inputs, notes)]
                reader.about |= {**known(reader, self.inputs), "notes": notes}
                parts.append(Part(reader.analysis, reader.version, reader.about, reader.metrics))
        self.sums = Sums(parts, self.inputs.loader.passes, device_name(self.inputs.device))
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
        self.sums.set_states(saved.states)
        self.sums.done = set(saved.done)
        self.sums.skipped, self.sums.notes = list(saved.skipped), list(saved.notes)
        self._before = saved.seconds

    def _go_through(self, found: Iterator[Shown], stops: Stops) -> None:
        try:
            for shown in found:
                with stops.held():
                    self._batch(shown)
                self.progress.advance(shown.n)
                if self.keeper.due and self._enough():
                    break
            else:
                self.sums.total = self.inputs.loader.total
            if self.keeper.of_share:  # to be merged
                self._keep()
        except (Stopped, KeyboardInterrupt) as stop:
            left = self._keep_what_is_whole(stops)
            if isinstance(stop, Stopped):
                stop.left = left
            raise
        self._tell()

    def _keep_what_is_whole(self, stops: Stops) -> str:
        """Save, unless a batch was left in its middle; what there is to go on from, in words."""
        if stops.whole and self.sums.done:
            try:
                with stops.held():
                    self._keep()
            except SaveFailed as error:
                return str(error)
        return self.keeper.left if self.keeper.good else ""

    def _enough(self) -> bool:
        """Save; whether every standard error is below the tolerance."""
        self._keep()
        if self.tolerance is None:
            return False
        errors = [reader.largest_error(reader.metrics) for reader in self.readers]
        if not all(error < self.tolerance for error in errors):  # NaN, none yet, is not
            return False
        examples = min(part.tally.compute()["examples"] for part in self.sums.parts)
        self.sums.tolerance = self.tolerance
        say(
            self.sums.notes,
            f"{examples:,} examples were enough: every standard error is below {self.tolerance:g}",
        )
        return True

    def _keep(self) -> None:
        self._tell()
        self.keeper.save(self.sums)

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


def _check_tolerance(tolerance: float, keeper: Keeper, inputs: Inputs) -> None:
    name = option("tolerance")
    if not tolerance > 0:
        raise InputError(f"{name} takes a number above 0, not {tolerance:g}")
    if keeper.of_share:
        raise InputError(f"{name} looks at a whole run: it does not go with {option('shard')}")
    if inputs.loader.passes > 1:
        raise InputError(f"{name} ends a run before its last example: give it one pass")


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
            tally["examples"],
            tally["batches"],
            sums.passes,
            sums.device,
            sums.seconds,
            notes,
            sums.tolerance,
        )
        found.append(reader.results(part.about, part.metrics, ran))
    return found
