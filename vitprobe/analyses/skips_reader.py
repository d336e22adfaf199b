"""Norm ratio and cosine of skips and the branches beside them, as a reader of a pass."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import xarray as xr
from torch import Tensor
from torchmetrics import Metric

from vitprobe.analyses.skips_result import model_dataset
from vitprobe.analyses.skips_sites import Skip, skips_of
from vitprobe.metrics.branch_ratio import BranchRatios, branch_products
from vitprobe.metrics.silence import Silence
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import facts_of_each
from vitprobe.passes.reader import Batch, Ran, Reader, largest_finite
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import Residuals
from vitprobe.taps import ResidualSite

_BYTES_OF_TOKEN = 16 * 8  # of each image while its products become sums


class SkipsReader(Reader):
    """How large skips are beside their long branches, as `vitprobe.skips` gives it, in any pass.

    Results: one for each distinct model.
    """

    analysis = "skips"
    distinct = 1

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        return facts_of_each(self.analysis, inputs)

    def begin(
        self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]
    ) -> list[Residuals]:
        self.models = list(models)
        self.skips = [skips_of(model) for model in models]
        self._read = [[skip for skip in skips if not skip.blank] for skips in self.skips]
        self.about = {
            "models": [
                {
                    "label": model.subject.label,
                    "image_size": list(model.image_size),
                    "sites": [skip.described for skip in skips],
                }
                for model, skips in zip(models, self.skips, strict=True)
            ]
        }
        return [
            Residuals(model.number, [skip.site for skip in read], self._taker(k, read))
            for k, (model, read) in enumerate(zip(models, self._read, strict=True))
        ]

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        metrics = {}
        for k, model in enumerate(about["models"]):
            read = [site for site in model["sites"] if not site["blank"]]
            tokens = [(site["cls"], site["registers"], site["patches"]) for site in read]
            metrics |= {f"ratios{k}": BranchRatios(tokens), f"silence{k}": Silence(len(read))}
        return metrics

    def start(self, batch: Batch) -> None:
        self._batch = batch
        self._products: list[dict[int, Tensor]] = [{} for _ in self._read]

    def finish(self) -> None:
        for k, (read, products) in enumerate(zip(self._read, self._products, strict=True)):
            silent = [place for place in range(len(read)) if place not in products]
            self.metrics[f"silence{k}"].update(silent, self._batch.number)
            self.metrics[f"ratios{k}"].update(products, self._batch.number)

    def bytes_of_batch(self, n: int) -> int:
        read = [skip for skips in self._read for skip in skips]
        tokens = sum(skip.cls + skip.registers + skip.patches for skip in read)
        largest = max(math.prod(skip.site.shape) for skip in read)
        # a product and both branches in a wider type: of a piece on a CPU, else of all images
        return n * (tokens * _BYTES_OF_TOKEN + 3 * 8 * largest)

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        found = [metric.compute() for key, metric in metrics.items() if key.startswith("ratios")]
        return largest_finite(*(error for each in found for error in each[2:4]))

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        return [
            model_dataset(
                model, metrics[f"ratios{k}"], metrics[f"silence{k}"].reasons(), facts, ran
            )
            for k, (model, facts) in enumerate(zip(about["models"], about["facts"], strict=True))
        ]

    def _taker(self, k: int, read: Sequence[Skip]) -> Callable:
        places = {skip.site.name: (place, skip.axis) for place, skip in enumerate(read)}

        def take(site: ResidualSite, z: Tensor, f: Tensor) -> None:
            place, axis = places[site.name]
            self._products[k][place] = branch_products(z, f, axis)

        return take
