"""The pass over the images that CKA makes: survey and tap the models, then batch after batch."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from vitprobe.analyses.batches import batches, leading, no_memory, tell_skipped
from vitprobe.analyses.cka_result import Layers
from vitprobe.analyses.cka_vectors import SiteVectors
from vitprobe.analyses.inputs import Inputs, say, survey_named
from vitprobe.analyses.schedule import stream_and_limit
from vitprobe.analyses.timing import Stopwatch
from vitprobe.data.layout import listed
from vitprobe.data.model_input import ModelInput, run
from vitprobe.errors import InputError
from vitprobe.metrics import CKA
from vitprobe.metrics.cka import MINIMUM_EXAMPLES
from vitprobe.ops.wide import wide_home
from vitprobe.taps import Site, Survey, capture, select

_FEW_BATCHES = 8
_ENOUGH = 16  # images in a batch, for batches of one data set to weigh about the same


class Pass:
    """All batches of all passes through all models, with what there is to say about them.

    Args:
        inputs: models and data.
        layers, tokens: what to read, one selection for each model given.
        metric: makes a metric for a number of sites.
        precision: "fp32" or "bf16".
        defer_bytes: activations that may be held, or None for the device's default.
        watch: where the seconds are counted.

    Attributes after `run`: metric, examples, notes.
    """

    def __init__(
        self,
        inputs: Inputs,
        layers: Sequence,
        tokens: str,
        metric: Callable[[int], CKA],
        precision: str,
        defer_bytes: int | None,
        watch: Stopwatch,
    ):
        self.inputs, self.tokens = inputs, tokens
        asked = [_hashable(selection) for selection in layers]
        self.views = list(dict.fromkeys(zip(inputs.places, asked, strict=True)))
        self.make_metric, self.watch, self.defer_bytes = metric, watch, defer_bytes
        self.autocast = torch.autocast(
            inputs.device.type, torch.bfloat16, enabled=precision == "bf16"
        )
        self.notes: list[str] = []
        self.examples = 0

    def run(self, advance: Callable[[int], None]) -> None:
        """Go through the data; `advance` is told the examples of each batch.

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
            for images, n in found:
                if n < MINIMUM_EXAMPLES:
                    dropped += n
                    continue
                self._batch(images, n)
                advance(n)
        if not self.examples:
            raise InputError("no batch has 4 examples or more, which CKA needs")
        self._tell(dropped)

    def _begin(self, images: list[Tensor | ModelInput], taps: ExitStack) -> None:
        with self.autocast:
            surveys = [
                survey_named(subject.model, subject.label, view)
                for subject, view in zip(self.inputs.subjects, images, strict=True)
            ]
        self.selections = [select(surveys[i], asked, self.tokens) for i, asked in self.views]
        for (i, _), selection in zip(self.views, self.selections, strict=True):
            note = selection.note and f"{self.inputs.subjects[i].label}: {selection.note}"
            if note and note not in self.notes:
                say(self.notes, note)
        sites = [self._wanted(i, of_model) for i, of_model in enumerate(surveys)]
        self.metric = self.make_metric(sum(map(len, sites))).to(wide_home(self.inputs.device))
        stream, limit = stream_and_limit(self.inputs.device, self.defer_bytes)
        self.vectors = SiteVectors(self.metric, sites, self.watch, limit, stream)
        for i, subject in enumerate(self.inputs.subjects):
            taps.enter_context(
                capture(subject.model, sites[i], self.vectors.reducer(i), tokens=self.tokens)
            )

    def _wanted(self, model: int, of_model: Survey) -> list[Site]:
        """The sites of one model that any selection asks for, in the order in which they fire."""
        chosen = {
            site.name
            for (i, _), selection in zip(self.views, self.selections, strict=True)
            for site in selection.sites
            if i == model
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
        for subject, rows in zip(self.inputs.subjects, self.vectors.rows, strict=True):
            names = [name for name, row in rows.items() if effective[row] < count / 2]
            if names:
                few = min(float(effective[rows[name]]) for name in names)
                say(
                    self.notes,
                    f"{subject.label}: the scale of {listed(names)} changes so much from batch to "
                    f"batch that the result rests on {few:.1f} of {count} batches",
                )

    def described(self) -> list[Layers]:
        """Each selection's layers with their rows in the metric and why any is blank."""
        blanks, _ = self.metric.blanks()
        reasons = [self.vectors.silent.get(row, reason) for row, reason in enumerate(blanks)]
        described = []
        for (i, asked), selection in zip(self.views, self.selections, strict=True):
            rows = [self.vectors.rows[i][site.name] for site in selection.sites]
            described.append(
                Layers(
                    self.inputs.subjects[i],
                    asked,
                    selection,
                    rows,
                    [self.vectors.features[row] for row in rows],
                    [reasons[row] for row in rows],
                )
            )
        return described


def _hashable(selection):
    return selection if isinstance(selection, (str, type)) else tuple(selection)
