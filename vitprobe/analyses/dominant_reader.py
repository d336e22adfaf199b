"""Which examples dominate every layer of a model, and its CKA without them: a reader."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import xarray as xr
from torch import Tensor
from torchmetrics import Metric, SumMetric

from vitprobe.analyses.cka_result import described
from vitprobe.analyses.cka_vectors import SiteVectors
from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.analyses.dominant_batch import BatchOfGrams, PackedGrams, bytes_beside
from vitprobe.analyses.dominant_result import model_dataset
from vitprobe.analyses.thumbnails import thumbnail_shape, thumbnails
from vitprobe.data.model_input import ModelInput, image_of
from vitprobe.errors import InputError, option, say
from vitprobe.metrics import CKA
from vitprobe.metrics.first_component import FirstShare
from vitprobe.metrics.silence import Silence
from vitprobe.metrics.top import Top, best
from vitprobe.ops.wide import wide, wide_home
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import as_attribute, facts_of_each
from vitprobe.passes.reader import Batch, Ran, Reader, largest_finite
from vitprobe.passes.schedule import stream_and_limit
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import Activations, InputsOf, Want
from vitprobe.taps import select

DROP, TOP = 0.05, 16
TOLD = 3  # score, number, label; then the thumbnail's values


class DominantReader(Reader):
    """Dominant examples, and CKA with and without them, as `vitprobe.dominant` gives it, in any
    pass.

    Results: one for each distinct model.

    Args:
        layers, drop, top: as for `vitprobe.dominant`, of all models.

    Raises:
        InputError: `drop` is no share from 0 to 0.5, or `top` is below 1.
    """

    analysis = "dominant"
    least = 8  # half of a batch may be left out, and CKA needs 4

    def __init__(self, layers: LayerSpec = "blocks", *, drop: float = DROP, top: int = TOP):
        if not 0 <= drop <= 0.5:
            raise InputError(f"{option('drop')} is a share of each batch, 0 to 0.5, not {drop:g}")
        if top < 1:
            raise InputError(f"{option('top')} is a number of examples, 1 or more, not {top}")
        self.layers, self.drop, self.top = layers, float(drop), int(top)

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        asked = {
            "layers": as_attribute(self.layers),
            "drop": self.drop,
            "top": self.top,
            "passes": inputs.loader.passes,
            "estimator": "unbiased",
            "kernel": "linear",
        }
        return facts_of_each(self.analysis, inputs, asked)

    def begin(self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]) -> list[Want]:
        self.selected = [select(model.sites, self.layers) for model in models]
        self._spans: list[slice] = []  # rows of each model's sites, of all sites
        rows, count = [], 0
        for selection in self.selected:
            sites = selection.sites
            rows.append({site.name: count + k for k, site in enumerate(sites)})
            self._spans.append(slice(count, count + len(sites)))
            count += len(sites)
        for model, selection in zip(models, self.selected, strict=True):
            if selection.note:
                say(notes, f"{model.subject.label}: {selection.note}")
        of_models = []
        for model, selection in zip(models, self.selected, strict=True):
            own = {site.name: k for k, site in enumerate(selection.sites)}
            of_models.append({"layers": described(selection, own), "picture": _picture(model)})
        self.about = {"models": of_models, "top": self.top, "passes": inputs.loader.passes}
        features = [count for model in of_models for count in model["layers"]["features"]]
        self._grams = PackedGrams(wide_home(inputs.device), features)
        stream, limit = stream_and_limit(inputs.device, None)
        sites = [list(selection.sites) for selection in self.selected]
        self._vectors = SiteVectors(sites, rows, limit, stream)
        self._room = torch.empty(0)
        self._pictures: dict[int, Tensor] = {}
        wants: list[Want] = [
            Activations(model.number, sites[k], self._vectors.reducer(k))
            for k, model in enumerate(models)
        ]
        for k, (model, about) in enumerate(zip(models, of_models, strict=True)):
            if about["picture"]:
                transform = inputs.loader.transforms[model.number]
                how = {"shape": about["picture"], "mean": transform.mean, "std": transform.std}
                wants.append(InputsOf(model.number, self._taker(k, how)))
        return wants

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        metrics: dict[str, Metric] = {}
        for k, model in enumerate(about["models"]):
            count = len(model["layers"]["names"])
            pixels = torch.Size(model["picture"] or [0]).numel()
            metrics |= {
                f"whole{k}": CKA(count, passes=about["passes"]),
                f"without{k}": CKA(count, passes=about["passes"]),
                f"share{k}": FirstShare(count, passes=about["passes"]),
                f"top{k}": Top(about["top"], TOLD + pixels),
                f"of_layers{k}": Top(1, 2, places=count),
                f"left_out{k}": SumMetric(nan_strategy="disable").set_dtype(torch.float64),
                f"silence{k}": Silence(count),
            }
        return metrics

    def start(self, batch: Batch) -> None:
        self._batch = batch
        self._pictures.clear()
        self._vectors.begin(self._grams, batch.n)

    @contextmanager
    def during_forward(self, subject: int) -> Iterator[None]:
        with self._vectors.forward():
            yield

    def finish(self) -> None:
        batch, waiting = self._batch, self._vectors.waiting
        for k, span in enumerate(self._spans):
            silent = [row - span.start for row in waiting if span.start <= row < span.stop]
            self.metrics[f"silence{k}"].update(silent, batch.number)
        self._vectors.finish(batch.number)
        packed, rounding = self._grams.filled
        for k, span in enumerate(self._spans):
            grams = BatchOfGrams(packed[span], rounding[span], batch.index, self.drop)
            self._add(k, grams, self._grams.features[span])

    def _add(self, k: int, grams: BatchOfGrams, features: Tensor) -> None:
        """Add a batch of one model to its sums."""
        n, number, sites = grams.n, self._batch.number, len(grams.packed)
        size = sites, n * (n - 1) // 2
        if self._room.shape != size:
            self._room = grams.packed.new_empty(size)
        self.metrics[f"share{k}"].update(grams.shares(self._room), n)
        noise = grams.rounding.pow(4) / features * (n * (n - 1) / 2)
        self.metrics[f"whole{k}"].update_vectors(self._room, noise, n, number)
        kept = grams.kept
        noise = grams.without(self._room, kept)
        self.metrics[f"without{k}"].update_vectors(self._room, noise, n, number)
        self.metrics[f"left_out{k}"].update(n - kept.sum())

        numbers = grams.numbers.double()
        table = torch.stack([grams.relative, numbers.expand_as(grams.relative)], -1)
        self.metrics[f"of_layers{k}"].update(table)
        places = torch.arange(n, device=numbers.device).double()
        table = torch.stack([grams.scores, numbers, places], -1)
        chosen = best(table, min(self.top, n))
        places = chosen[:, 2].long()
        labels = torch.full((n,), -1) if self._batch.labels is None else self._batch.labels
        told = [chosen[:, :2], wide(labels.to(places.device)[places])[:, None]]
        if k in self._pictures:
            pictures = self._pictures[k]
            told.append(wide(pictures[places.to(pictures.device)].flatten(1)))
        self.metrics[f"top{k}"].update(torch.cat(told, 1))

    def bytes_of_batch(self, n: int) -> int:
        most = max(span.stop - span.start for span in self._spans)
        vectors = self._vectors.bytes_of(self._grams, n)
        room = vectors * (n - 1) // (n + 1)  # of the largest model, at most all
        pictures = sum(
            n * torch.Size(model["picture"] or [0]).numel() for model in self.about["models"]
        )
        beside = max(self.metrics[f"whole{k}"].bytes_beside(n) for k in range(len(self._spans)))
        return vectors + room + pictures + beside + bytes_beside(n, most)

    def less(self) -> str:
        few = self.layers in ("blocks", ["blocks"])
        return f"fewer layers ({option('layers', None if few else 'blocks')})"

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        errors = []
        for key, metric in metrics.items():
            if key.startswith("whole") or key.startswith("without"):
                errors.append(metric.compute().se)
            elif key.startswith("share"):
                errors.append(metric.compute()[1])
        return largest_finite(*errors)

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        if ran.batches == 1:
            say(ran.notes, "one batch only: no error bars (a standard error needs two)")
        found = []
        for k, (model, facts) in enumerate(zip(about["models"], about["facts"], strict=True)):
            names = ("whole", "without", "share", "top", "of_layers", "left_out", "silence")
            own = {name: metrics[f"{name}{k}"] for name in names}
            found.append(model_dataset(model, own, facts, ran))
        return found

    def _taker(self, k: int, how: Mapping[str, Any]) -> Callable[[Tensor | ModelInput], None]:
        make = partial(thumbnails, **how)

        def take(images: Tensor | ModelInput) -> None:
            """All of the batch, now: the model may write to its input."""
            self._pictures[k] = make(image_of(images))

        return take


def _picture(model: Surveyed) -> list[int] | None:
    """The shape of the thumbnails of what a model is shown; None where that is no image."""
    try:
        images = image_of(model.images)
    except InputError:
        return None
    if images.ndim != 4:
        return None
    return list(thumbnail_shape(*images.shape[2:], images.shape[1]))
