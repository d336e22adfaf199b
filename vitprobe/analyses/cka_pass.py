"""The pass over the images that CKA makes: survey and tap the models, then batch after batch."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from vitprobe.analyses.cka_result import Layers
from vitprobe.analyses.cka_vectors import SiteVectors
from vitprobe.analyses.inputs import Inputs, Subject, say
from vitprobe.analyses.timing import Stopwatch
from vitprobe.errors import InputError
from vitprobe.metrics import CKA
from vitprobe.metrics.cka import MINIMUM_EXAMPLES
from vitprobe.taps import Survey, capture, select, survey

_FEW_BATCHES = 8


class Pass:
    """All batches of all passes through all models, with what there is to say about them.

    Args:
        inputs: models and data.
        layers, tokens: what to read, one selection per model.
        metric: makes a metric for a number of sites.
        precision: "fp32" or "bf16".
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
        watch: Stopwatch,
    ):
        self.inputs, self.layers, self.tokens = inputs, layers, tokens
        self.make_metric, self.watch = metric, watch
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
        with ExitStack() as taps, torch.no_grad():
            for images, n in self._batches():
                if not self.examples:
                    with self.watch("survey"):
                        self._begin(images, n, taps)
                if n < MINIMUM_EXAMPLES:
                    dropped += n
                else:
                    self._batch(images, n)
                advance(n)
        if not self.examples:
            raise InputError("the data holds no examples: CKA needs at least 4")
        self._tell(dropped)

    def _batches(self):
        batches = iter(self.inputs.loader)
        while True:
            with self.watch("data"):
                batch = next(batches, None)
                if batch is None:
                    return
                images = [view.to(self.inputs.device) for view in batch.images]
            yield images, len(batch.index)

    def _begin(self, images: list[Tensor], n: int, taps: ExitStack) -> None:
        if n < MINIMUM_EXAMPLES:
            raise InputError(f"the first batch has {n} examples: CKA needs at least 4")
        self.selections = [
            select(self._survey(subject, view), layers, self.tokens)
            for subject, view, layers in zip(self.inputs.subjects, images, self.layers, strict=True)
        ]
        sites = [selection.sites for selection in self.selections]
        self.metric = self.make_metric(sum(map(len, sites))).to(self.inputs.device)
        self.vectors = SiteVectors(self.metric, sites, self.watch)
        for i, subject in enumerate(self.inputs.subjects):
            taps.enter_context(
                capture(subject.model, sites[i], self.vectors.reducer(i), tokens=self.tokens)
            )

    def _survey(self, subject: Subject, images: Tensor) -> Survey:
        try:
            with self.autocast:
                return survey(subject.model, images)
        except InputError:
            raise
        except (RuntimeError, ValueError, AssertionError) as error:  # a size that does not fit
            raise InputError(_misfit(subject, images, error)) from error

    def _batch(self, images: list[Tensor], n: int) -> None:
        self.vectors.begin(n)
        with self.watch("forward"), self.autocast:
            for subject, view in zip(self.inputs.subjects, images, strict=True):
                subject.model(view)
        with self.watch("statistics"):
            self.vectors.finish()
        self.examples += n

    def _tell(self, dropped: int) -> None:
        batches = int(self.metric.batches) // self.inputs.loader.passes
        if skipped := self.inputs.loader.skipped:
            listed = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
            say(self.notes, f"{len(skipped)} unreadable images were skipped: {listed}")
        if dropped:
            say(self.notes, f"a last batch of fewer than 4 examples was dropped ({dropped} in all)")
        if int(self.metric.batches) == 1:
            say(self.notes, "one batch only: no error bars (a standard error needs two)")
        elif batches < _FEW_BATCHES:
            say(
                self.notes,
                f"only {batches} batches: error bars are rough below {_FEW_BATCHES} "
                "(use more examples or a smaller batch size)",
            )
        self.notes += [note for note in self.inputs.loader.notes if note not in self.notes]

    def described(self) -> list[Layers]:
        """Each model's layers with their places in the metric and why any is blank."""
        blanks, _ = self.metric.blanks()
        reasons = [self.vectors.silent.get(row, reason) for row, reason in enumerate(blanks)]
        return [
            Layers(subject, asked, selection, rows, self.vectors.features[rows], reasons[rows])
            for subject, asked, selection, rows in zip(
                self.inputs.subjects,
                self.layers,
                self.selections,
                self.vectors.slices,
                strict=True,
            )
        ]


def _misfit(subject: Subject, images: Tensor, error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    size = "x".join(str(side) for side in images.shape[1:])
    return f"{subject.label} cannot take images of {size} (try --image-size): {first}"
