"""The pass over the images that CKA makes: from each batch one vector a site, then one product."""

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from vitprobe.analyses.cka_result import Layers
from vitprobe.analyses.inputs import Inputs, Subject, say
from vitprobe.errors import InputError
from vitprobe.metrics import CKA
from vitprobe.metrics.cka import MINIMUM_EXAMPLES
from vitprobe.taps import Selection, Site, capture, select, survey

_SURVEYED = 4  # examples that the survey looks at
_FEW_BATCHES = 8


class Pass:
    """The pass over the images: from each batch, one vector a site, one product of all of them."""

    def __init__(self, inputs: Inputs, layers, tokens, estimator, kernel, precision, notes, watch):
        self.inputs, self.layers, self.tokens = inputs, layers, tokens
        self.estimator, self.kernel = estimator, kernel
        self.autocast = torch.autocast(
            inputs.device.type, torch.bfloat16, enabled=precision == "bf16"
        )
        self.notes, self.watch = notes, watch
        self.selections: list[Selection] = []
        self.silent: dict[tuple[int, str], str] = {}  # (model, site) -> why it gave nothing
        self.examples = 0

    def through(self, advance) -> None:
        """All batches of all passes; leaves `metric` complete."""
        dropped = 0
        with ExitStack() as taps:
            batches = iter(self.inputs.loader)
            while True:
                with self.watch("data"):
                    batch = next(batches, None)
                if batch is None:
                    break
                n = len(batch.index)
                images = [image.to(self.inputs.device) for image in batch.images]
                if not self.selections:
                    with self.watch("survey"):
                        self._prepare(images, n, taps)
                if n < MINIMUM_EXAMPLES:
                    dropped += n
                else:
                    with self.watch("forward"), self.autocast:
                        for i, subject in enumerate(self.inputs.subjects):
                            self._forward(i, subject, images[i])
                    with self.watch("statistics"):
                        self._finish_batch(n)
                    self.examples += n
                advance(n)
        if not self.selections:
            raise InputError("the data holds no examples: CKA needs at least 4")
        self._tell(dropped)

    def _prepare(self, images: list[Tensor], n: int, taps: ExitStack) -> None:
        """Survey each model on the first examples, choose its sites, tap them."""
        if n < MINIMUM_EXAMPLES:
            raise InputError(f"the first batch has {n} examples: CKA needs at least 4")
        for i, subject in enumerate(self.inputs.subjects):
            with self.autocast:
                sites = survey(subject.model, images[i][:_SURVEYED])
            self.selections.append(select(sites, self.layers[i], self.tokens))
        self.rows = {
            (i, site.name): row
            for row, (i, site) in enumerate(
                (i, site) for i, chosen in enumerate(self.selections) for site in chosen.sites
            )
        }
        if not self.rows:
            raise InputError("no layer is left to compare: choose other --layers or --tokens")
        self.metric = CKA(
            len(self.rows),
            kernel=self.kernel,
            estimator=self.estimator,
            passes=self.inputs.loader.passes,
        ).to(self.inputs.device)
        self._clear()
        for i, subject in enumerate(self.inputs.subjects):
            taps.enter_context(
                capture(
                    subject.model, self.selections[i].sites, self._reducer(i), tokens=self.tokens
                )
            )

    def _clear(self) -> None:
        self.vectors: list[Tensor | None] = [None] * len(self.rows)
        self.noise: list[Tensor | None] = [None] * len(self.rows)

    def _reducer(self, i: int):
        rows, metric, watch = self.rows, self.metric, self.watch

        def reduce(site: Site, x: Tensor, twin: Site | None) -> None:
            row = rows[i, site.name]
            if twin is not None:
                source = rows[i, twin.name]
                self.vectors[row], self.noise[row] = self.vectors[source], self.noise[source]
                return
            with watch("statistics"):
                self.vectors[row] = metric.vector(x)
                self.noise[row] = metric.noise_floor(x)

        return reduce

    def _forward(self, i: int, subject: Subject, images: Tensor) -> None:
        try:
            subject.model(images)
        except (RuntimeError, AssertionError) as error:  # a size or channel count that does not fit
            if self.examples:
                raise
            raise InputError(_shape_trouble(subject, images, error)) from error

    def _finish_batch(self, n: int) -> None:
        given = next(vector for vector in self.vectors if vector is not None)
        for (i, name), row in self.rows.items():
            if self.vectors[row] is None:
                self.silent.setdefault(
                    (i, name), f"did not fire in batch {int(self.metric.batches)}"
                )
                self.vectors[row] = torch.full_like(given, torch.nan)
                self.noise[row] = torch.zeros_like(self.metric.weight)
        self.metric.update_vectors(torch.stack(self.vectors), torch.stack(self.noise), n)
        self._clear()

    def _tell(self, dropped: int) -> None:
        batches = int(self.metric.batches)
        if skipped := self.inputs.loader.skipped:
            listed = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
            say(self.notes, f"{len(skipped)} unreadable images were skipped: {listed}")
        if dropped:
            say(self.notes, f"a last batch of fewer than 4 examples was dropped ({dropped} in all)")
        if batches == 1:
            say(self.notes, "one batch only: no error bars (their standard error needs two)")
        elif batches // self.inputs.loader.passes < _FEW_BATCHES:
            say(
                self.notes,
                f"only {batches // self.inputs.loader.passes} batches: error bars are rough below "
                f"{_FEW_BATCHES} (use more examples or a smaller batch size)",
            )
        if self.estimator == "biased":
            say(self.notes, f"biased CKA depends on the batch size")

    def described(self, layers: Sequence) -> list[Layers]:
        """Each model's layers with their places in the metric and why any is blank."""
        blanks, _ = self.metric.blanks()
        start, described = 0, []
        for i, (subject, chosen) in enumerate(
            zip(self.inputs.subjects, self.selections, strict=True)
        ):
            rows = slice(start, start + len(chosen.sites))
            reasons = [
                self.silent.get((i, site.name), reason)
                for site, reason in zip(chosen.sites, blanks[rows], strict=True)
            ]
            described.append(Layers(subject, chosen, rows, reasons, layers[i]))
            start = rows.stop
        return described


def _shape_trouble(subject: Subject, images: Tensor, error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    size = "x".join(str(side) for side in images.shape[1:])
    return f"{subject.label} cannot take images of {size} (try --image-size): {first}"
