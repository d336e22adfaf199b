"""Attention distance, patch mass and entropy as a reader of a pass."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import xarray as xr
from torchmetrics import Metric

from vitprobe import ops
from vitprobe.analyses.attention_heads import Heads, located
from vitprobe.analyses.attention_result import QUANTITIES, described, model_dataset
from vitprobe.errors import say
from vitprobe.metrics import AttentionMeans
from vitprobe.metrics.silence import Silence
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import as_attribute, facts_of_each
from vitprobe.passes.reader import Batch, Ran, Reader, largest_finite
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import AttentionOf
from vitprobe.taps import Attention, AttentionSite
from vitprobe.taps.token_grid import TokenGrid

_BYTES_OF_CALL = 5 * 4 + 4 * 8  # of each image, head and window: statistics, then wide
_BYTES_OF_HEAD = 4 * (4 * 8 + 1)  # of each image and head in `AttentionMeans.update`


class AttentionReader(Reader):
    """How far every attention head looks, as `vitprobe.attention` gives it, in any pass.

    Results: one for each distinct model.

    Args:
        grid, prefix, patch_size: as for `vitprobe.attention`, of all models.
    """

    analysis = "attention"
    distinct = 1

    def __init__(
        self,
        grid: tuple[int, int] | None = None,
        prefix: int | None = None,
        patch_size: int | tuple[int, int] | None = None,
    ):
        self.options = {"grid": grid, "prefix": prefix, "patch_size": patch_size}

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        asked = {f"{name}_asked": as_attribute(value) for name, value in self.options.items()}
        return facts_of_each(self.analysis, inputs, asked)

    def begin(
        self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]
    ) -> list[AttentionOf]:
        self.heads = [located(model, self.options) for model in models]
        self.about = {"models": [described(heads) for heads in self.heads]}
        self._now: list[dict[str, ops.AttentionStatistics]] = [{} for _ in models]
        return [
            AttentionOf(heads.model.number, heads.computed, self._taker(heads, now))
            for heads, now in zip(self.heads, self._now, strict=True)
        ]

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        metrics = {}
        for k, model in enumerate(about["models"]):
            heads = [site["heads"] for site in model["sites"] if site["grid"]]
            metrics |= {f"means{k}": AttentionMeans(heads), f"silence{k}": Silence(len(heads))}
        return metrics

    def start(self, batch: Batch) -> None:
        self._batch = batch
        for now in self._now:
            now.clear()

    def finish(self) -> None:
        for k, (heads, now) in enumerate(zip(self.heads, self._now, strict=True)):
            means = self.metrics[f"means{k}"]
            layers, silent = [], []
            for place, site in enumerate(heads.computed):
                if site.name not in now:
                    silent.append(place)
                    lost = torch.full((5, self._batch.n * site.per_image, site.heads), torch.nan)
                    now[site.name] = ops.AttentionStatistics(*lost.to(means.device), None)
                layers.append(now[site.name])
            means.update(layers, [site.per_image for site in heads.computed], self._batch.number)
            self.metrics[f"silence{k}"].update(silent, self._batch.number)

    def bytes_of_batch(self, n: int) -> int:
        sites = [site for heads in self.heads for site in heads.computed]
        calls = sum(site.heads * site.per_image for site in sites)  # of an image
        return n * (_BYTES_OF_CALL * calls + _BYTES_OF_HEAD * sum(site.heads for site in sites))

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        means = [metric.compute() for key, metric in metrics.items() if key.startswith("means")]
        return largest_finite(
            *(getattr(each, f"{name}_se") for each in means for name in QUANTITIES)
        )

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        if ran.examples == 1:
            say(ran.notes, "one image only: no error bars (a standard error needs two)")
        return [
            model_dataset(model, metrics[f"means{k}"], metrics[f"silence{k}"].reasons(), facts, ran)
            for k, (model, facts) in enumerate(zip(about["models"], about["facts"], strict=True))
        ]

    def _taker(self, heads: Heads, now: dict[str, ops.AttentionStatistics]):
        def take(site: AttentionSite, attention: Attention) -> None:
            """Reduce one layer's attention where it is computed."""
            now[site.name] = statistics_of(attention, heads.grids[site.name])

        return take


def statistics_of(attention: Attention, grid: TokenGrid) -> ops.AttentionStatistics:
    """What is kept of the attention of one batch at one site."""
    patches = {
        "grid": (grid.rows, grid.columns),
        "prefix": grid.prefix,
        "patch_size": (grid.patch_height, grid.patch_width),
    }
    if attention.weights is None:
        return ops.attention_statistics(
            attention.q, attention.k, attention.scale, bias=attention.bias, **patches
        )
    return ops.dense_attention_statistics(attention.weights, **patches)
