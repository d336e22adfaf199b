"""The pass over the images that CKA makes: survey and tap the models, then batch after batch."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from vitprobe.analyses.batches import batches, leading, no_memory, tell_skipped
from vitprobe.analyses.cka_result import Layers
from vitprobe.analyses.cka_vectors import SiteVectors
from vitprobe.analyses.cka_views import View
from vitprobe.analyses.inputs import Inputs, say, survey_named
from vitprobe.analyses.progress import Progress
from vitprobe.analyses.schedule import stream_and_limit
from vitprobe.analyses.timing import Stopwatch
from vitprobe.data.layout import listed
from vitprobe.data.model_input import ModelInput, run
from vitprobe.errors import InputError
from vitprobe.metrics import CKA
from vitprobe.metrics.cka import MINIMUM_EXAMPLES
from vitprobe.ops.wide import wide_home
from vitprobe.taps import Selection, Site, Survey, capture, select

_FEW_BATCHES = 8
_ENOUGH = 16  # images in a batch, for batches of one data set to weigh about the same


class Pass:
    """All batches of all passes through all models, with what there is to say about them.

    Args:
        inputs: models and data.
        views: what to read of which model.
        metric: makes a metric for a number of sites.
        defer_bytes: activations that may be held, or None for the device's default.
        watch: where the seconds are counted.

    Attributes after `run`: metric, examples, notes.
    """

    def __init__(
        self,
        inputs: Inputs,
        views: Sequence[View],
        metric: Callable[[int], CKA],
        defer_bytes: int | None,
        watch: Stopwatch,
    ):
        self.inputs, self.views = inputs, views
        # a model is tapped once for each choice of tokens: (subject, tokens)
        self.taps = list(dict.fromkeys((view.subject, view.tokens) for view in views))
        self.make_metric, self.watch, self.defer_bytes = metric, watch, defer_bytes
        self.autocast = inputs.autocast
        self.notes: list[str] = []
        self.examples = 0

    def run(self, progress: Progress) -> None:
        """Go through the data; `progress` is told what is read, and the examples of each batch.

        Raises:
            InputError: fewer than 4 examples, a model that cannot take the images, a selection
                that matches nothing.
        """
        dropped = 0
        with torch.no_grad(), ExitStack() as taps:
            few, found = leading(batches(self.inputs, self.watch))
            with self.watch("survey"):
                self._begin(few, taps)
            del few
            progress.begin(
                self.inputs,
                [
                    (self.inputs.subjects[view.subject], selection)
                    for view, selection in zip(self.views, self.selections, strict=True)
                ],
            )
            for images, n in found:
                if n < MINIMUM_EXAMPLES:
                    dropped += n
                    continue
                self._batch(images, n)
                progress.advance(n)
        if not self.examples:
            raise InputError("no batch has 4 examples or more, which CKA needs")
        self._tell(dropped)

    def _begin(self, images: list[Tensor | ModelInput], taps: ExitStack) -> None:
        with self.autocast:
            surveys = [
                survey_named(subject.model, subject.label, view)
                for subject, view in zip(self.inputs.subjects, images, strict=True)
            ]
        self.selections = [self._selected(view, surveys[view.subject]) for view in self.views]
        for view, selection in zip(self.views, self.selections, strict=True):
            label = self.inputs.subjects[view.subject].label
            note = selection.note and f"{label}: {selection.note}"
            if note and note not in self.notes:
                say(self.notes, note)
        sites = [self._wanted(tap, surveys[tap[0]]) for tap in self.taps]
        self.metric = self.make_metric(sum(map(len, sites))).to(wide_home(self.inputs.device))
        stream, limit = stream_and_limit(self.inputs.device, self.defer_bytes)
        self.vectors = SiteVectors(self.metric, sites, self.watch, limit, stream)
        for k, (i, tokens) in enumerate(self.taps):
            model, reducer = self.inputs.subjects[i].model, self.vectors.reducer(k)
            taps.enter_context(capture(model, sites[k], reducer, tokens=tokens))

    def _selected(self, view: View, of_model: Survey) -> Selection:
        try:
            return select(of_model, view.layers, view.tokens)
        except InputError as error:
            if len(self.views) == 1:
                raise
            raise InputError(f"{self.inputs.subjects[view.subject].label}: {error}") from error

    def _wanted(self, tap: tuple[int, str], of_model: Survey) -> list[Site]:
        """The sites of one model that any selection asks for with these tokens, in the order in
        which they fire."""
        chosen = {
            site.name
            for view, selection in zip(self.views, self.selections, strict=True)
            for site in selection.sites
            if (view.subject, view.tokens) == tap
        }
        return [site for site in of_model if site.name in chosen]

    def _batch(self, images: list[Tensor | ModelInput], n: int) -> None:
        self.vectors.begin(n)
        with self.watch("forward"), self.autocast:
            for subject, view in zip(self.inputs.subjects, images, strict=True):
                try:
                    with self.vectors.forward():
                        run(subject.model, view)
                except torch.OutOfMemoryError as error:
                    raise no_memory(subject, n) from error
        with self.watch("statistics"):
            self.vectors.finish()
        self.examples += n

    def _tell(self, dropped: int) -> None:
        count = int(self.metric.batches) // self.inputs.loader.passes
        tell_skipped(self.inputs, self.notes)
        if dropped:
            say(self.notes, f"{dropped} examples were dropped, in batches of fewer than 4")
        if int(self.metric.batches) == 1:
            say(self.notes, "one batch only: no error bars (a standard error needs two)")
        elif count < _FEW_BATCHES:
            say(
                self.notes,
                f"only {count} batches: error bars are rough below {_FEW_BATCHES} "
                "(use more examples or a smaller batch size)",
            )
        self._tell_uneven()
        self.notes += [note for note in self.inputs.loader.notes if note not in self.notes]

    def _tell_uneven(self) -> None:
        """Name layers whose scale changes from batch to batch, as no choice of images explains."""
        count = int(self.metric.batches)
        if self.examples < _ENOUGH * count:
            return
        effective = self.metric.effective_batches()
        for (i, _), rows in zip(self.taps, self.vectors.rows, strict=True):
            label = self.inputs.subjects[i].label
            names = [name for name, row in rows.items() if effective[row] < count / 2]
            if names:
                few = min(float(effective[rows[name]]) for name in names)
                say(
                    self.notes,
                    f"{label}: the scale of {listed(names)} changes so much from batch to "
                    f"batch that the result rests on {few:.1f} of {count} batches",
                )

    def described(self) -> list[Layers]:
        """Each view's layers with their rows in the metric and why any is blank."""
        blanks, _ = self.metric.blanks()
        reasons = [self.vectors.silent.get(row, reason) for row, reason in enumerate(blanks)]
        described = []
        for view, selection in zip(self.views, self.selections, strict=True):
            of_tap = self.vectors.rows[self.taps.index((view.subject, view.tokens))]
            rows = [of_tap[site.name] for site in selection.sites]
            described.append(
                Layers(
                    selection,
                    rows,
                    [self.vectors.features[row] for row in rows],
                    [reasons[row] for row in rows],
                )
            )
        return described
