"""What fine-tuning changes, block by block, as a reader of a pass."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import xarray as xr
from torchmetrics import Metric

from vitprobe import ops
from vitprobe.analyses.attention_reader import statistics_of
from vitprobe.analyses.cka_reader import tell_errors
from vitprobe.analyses.cka_result import described
from vitprobe.analyses.cka_vectors import SiteVectors
from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.analyses.finetuning_cka import LayerwiseCKA, errors_with_the_first
from vitprobe.analyses.finetuning_match import (
    MatchedHeads,
    described_heads,
    matched,
    matched_heads,
)
from vitprobe.analyses.finetuning_result import dataset_of
from vitprobe.errors import InputError, option, say
from vitprobe.metrics import CKA, AttentionMeans
from vitprobe.metrics.cka import MINIMUM_EXAMPLES
from vitprobe.metrics.silence import Silence
from vitprobe.ops.wide import wide
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import as_attribute, data_facts, model_facts
from vitprobe.passes.reader import Batch, Ran, Reader, largest_finite
from vitprobe.passes.schedule import stream_and_limit
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import Activations, AttentionOf, Want
from vitprobe.taps import Attention, AttentionSite

_BYTES_OF_HEAD = 5 * (4 + 3 * 8)  # of each image, head and window: statistics, wide, their means
_BYTES_OF_LAYER = 5 * 8 + 4 * (4 * 8 + 1)  # of each image: what is held, then `AttentionMeans`


class FinetuningReader(Reader):
    """How each block of some checkpoints resembles that of the first, as `vitprobe.finetuning`
    gives it, in any pass. One result.

    Args:
        layers: as for `vitprobe.finetuning`.
    """

    analysis = "finetuning"
    least = MINIMUM_EXAMPLES

    def __init__(self, layers: LayerSpec = "blocks"):
        self.layers = layers

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        if len(inputs.places) < 2:
            raise InputError(
                "fine-tuning is shown with two checkpoints or more, the first of which the others "
                "are compared with: give another model"
            )
        facts = {"analysis": self.analysis}
        for number, subject in enumerate(inputs.subjects, 1):
            facts |= model_facts(f"model_{number}", subject)
        return [facts | data_facts(inputs) | {"layers": as_attribute(self.layers)}]

    def begin(self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]) -> list[Want]:
        self.matched = matched(models, self.layers)
        for k, subject in enumerate(inputs.subjects):
            if inputs.places.count(k) > 1:
                say(notes, f"{subject.label} was given more than once: it is there once")
        if self.matched.selection.note:
            say(notes, f"{models[0].subject.label}: {self.matched.selection.note}")
        self.heads = _heads(models, notes)
        names, count = self.matched.names, len(models)
        # the rows of one layer in all checkpoints follow one another: see LayerwiseCKA
        rows = [{name: layer * count + k for layer, name in enumerate(names)} for k in range(count)]
        self.about = {
            "checkpoints": [model.subject.label for model in models],
            "layers": described(self.matched.selection, rows[0]),
            "left_out": [[reasons.get(name, "") for name in names] for reasons in
                         self.matched.left_out],
            "attention": None if self.heads is None else described_heads(self.heads),
            "passes": inputs.loader.passes,
        }  # fmt: skip
        stream, limit = stream_and_limit(inputs.device, None)
        self._vectors = SiteVectors(self.matched.sites, rows, limit, stream)
        wants: list[Want] = [
            Activations(model.number, sites, self._vectors.reducer(k))
            for k, (model, sites) in enumerate(zip(models, self.matched.sites, strict=True))
        ]
        self._now: dict[tuple[int, str], ops.AttentionStatistics] = {}
        for k, heads in enumerate(self.heads.heads if self.heads else ()):
            wants.append(AttentionOf(heads.model.number, heads.computed, self._taker(k)))
        return wants

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        layers, checkpoints = len(about["layers"]["names"]), len(about["checkpoints"])
        metrics: dict[str, Metric] = {
            f"cka{layer}": CKA(checkpoints, passes=about["passes"]) for layer in range(layers)
        }
        metrics["silence"] = Silence(layers * checkpoints)
        if about["attention"] is not None:
            places = checkpoints * len(about["attention"]["names"])
            metrics["distance"] = AttentionMeans([1] * places)
            metrics["attention_silence"] = Silence(places)
        return metrics

    def start(self, batch: Batch) -> None:
        self._batch = batch
        self._now.clear()
        self._vectors.begin(self._layerwise(), batch.n)

    @contextmanager
    def during_forward(self, subject: int) -> Iterator[None]:
        with self._vectors.forward():
            yield

    def finish(self) -> None:
        number = self._batch.number
        self.metrics["silence"].update(self._vectors.waiting, number)
        self._vectors.finish(number)
        if self.heads is not None:
            self._finish_attention(self.heads, number)

    def bytes_of_batch(self, n: int) -> int:
        cka = self._vectors.bytes_of(self._layerwise(), n) + self.metrics["cka0"].bytes_beside(n)
        heads = [] if self.heads is None else [site for of in self.heads.heads for site in of.sites]
        split = sum(site.per_image for site in heads)
        most = max((site.heads * site.per_image for site in heads), default=0)  # at a time
        return cka + n * (_BYTES_OF_HEAD * most + _BYTES_OF_LAYER * split)

    def less(self) -> str:
        if self.layers in ("blocks", ["blocks"]):
            return "fewer checkpoints"
        return f"fewer layers ({option('layers', 'blocks')})"

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        errors = [errors_with_the_first(_of_layers(metrics))]
        if "distance" in metrics:
            errors.append(metrics["distance"].compute().distance_se)
        return largest_finite(*errors)

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        tell_errors(ran)
        return [dataset_of(about, _of_layers(metrics), metrics, ran)]

    def _layerwise(self) -> LayerwiseCKA:
        return LayerwiseCKA(_of_layers(self.metrics))

    def _taker(self, checkpoint: int):
        heads = self.heads.heads[checkpoint]

        def take(site: AttentionSite, attention: Attention) -> None:
            found = statistics_of(attention, heads.grids[site.name])
            self._now[checkpoint, site.name] = _mean_of_heads(found)

        return take

    def _finish_attention(self, heads: MatchedHeads, number: int) -> None:
        places = [(k, name) for k in range(len(heads.heads)) for name in heads.names]
        windows = {
            (k, site.name): site.per_image
            for k, of_model in enumerate(heads.heads)
            for site in of_model.computed
        }
        means = self.metrics["distance"]
        silent = [p for p, key in enumerate(places) if key in windows and key not in self._now]
        lost = torch.full((5, self._batch.n, 1), torch.nan, device=means.device)
        nothing = ops.AttentionStatistics(*lost, None)
        layers = [self._now.get(key, nothing) for key in places]
        split = [windows[key] if key in self._now else 1 for key in places]
        means.update(layers, split, number)
        self.metrics["attention_silence"].update(silent, number)


def _of_layers(metrics: Mapping[str, Metric]) -> list[CKA]:
    count = sum(name.removeprefix("cka").isdecimal() for name in metrics)
    return [metrics[f"cka{layer}"] for layer in range(count)]


def _heads(models: Sequence[Surveyed], notes: list[str]) -> MatchedHeads | None:
    """None, and a note, where there is no attention to compare."""
    try:
        return matched_heads(models)
    except InputError as error:
        say(notes, f"attention distance is left out: {error}")
        return None


def _mean_of_heads(found: ops.AttentionStatistics) -> ops.AttentionStatistics:
    """As if a layer had one head: so that its mean over heads has a standard error of its own.

    Heads without a distance in an image do not enter the mean of that image.
    """
    raw, distance, mass, entropy, left_out = wide(torch.stack(found[:5])).unbind()
    means = [values.mean(1, keepdim=True) for values in (raw, mass, entropy)]
    return ops.AttentionStatistics(
        means[0], distance.nanmean(1, keepdim=True), *means[1:], left_out.sum(1, keepdim=True), None
    )
