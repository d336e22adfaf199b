"""Other measures of similarity than CKA, of all layers, as a reader of a pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import xarray as xr
from torch import Tensor
from torchmetrics import Metric

from vitprobe.analyses import measures_sums as streamed
from vitprobe.analyses.cka_reader import CKAReader, tell_errors
from vitprobe.analyses.cka_result import PairLayers
from vitprobe.analyses.cka_vectors import SiteVectors
from vitprobe.analyses.cka_views import LayerSpec, pairs
from vitprobe.analyses.measures_grams import SiteGrams
from vitprobe.analyses.measures_result import measures_dataset
from vitprobe.analyses.measures_together import bytes_beside, check_whole, places_of, values_of
from vitprobe.errors import InputError, option
from vitprobe.measures import Chosen, chosen_list
from vitprobe.measures.given import rounding
from vitprobe.metrics.example_rows import ExampleRows
from vitprobe.metrics.flaws import Flaws
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.reader import Batch, Ran, largest_finite
from vitprobe.passes.schedule import SameStream, queued
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import Activations
from vitprobe.taps import Site

ROWS = "rows"  # of the metrics, the features of all examples


class MeasuresReader(CKAReader):
    """Similarity of every layer with every other by RSA, Procrustes, CCA and others, in any pass.

    Results: one for each pair of models, then of each with itself, as those of `CKAReader`, beside
    which it runs; `vitprobe.cka(..., measure=[...])` puts both into one.

    Args:
        measures: names with their options (`rsa:euclidean:spearman`), a list or with commas; see
            `vitprobe.similarity`. `cka` is `CKAReader`'s.
        layers, layers_of_each, tokens: as for `CKAReader`.

    Raises:
        InputError: no such measure or option.
    """

    analysis = "measures"

    def __init__(
        self,
        measures: str | Sequence[str],
        layers: LayerSpec = "all",
        *,
        layers_of_each: Sequence[LayerSpec] | None = None,
        tokens: str | Sequence[str] = "all",
    ):
        super().__init__(layers, layers_of_each=layers_of_each, tokens=tokens)
        self.measures = chosen_list(measures)
        if any(each.name == "cka" for each in self.measures):
            raise InputError(
                "cka is measured by CKAReader: run both, or vitprobe.cka(..., measure=[...])"
            )

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        """Those of CKA, but for how it is estimated."""
        own = {"analysis": self.analysis, **streamed.facts_of(self.measures)}
        return [
            {key: value for key, value in each.items() if key not in ("estimator", "kernel")} | own
            for each in super().facts(inputs)
        ]

    def begin(
        self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]
    ) -> list[Activations]:
        check_whole(self.measures, inputs)
        taps = super().begin(models, inputs, notes)  # the same layers
        sites = [list(tap.sites) for tap in taps]
        rows = self.about["rows"]
        columns, first = {}, 0
        for each in self.about["layers"]:
            for row, width in zip(each["rows"], each["features"], strict=True):
                if row not in columns:
                    columns[row], first = (first, width), first + width
        together = any(map(streamed.needs_all, self.measures))
        kinds = [site.dtype or torch.float32 for of_model in sites for site in of_model]
        self.about = {
            **{key: self.about[key] for key in ("labels", "rows", "layers", "passes")},
            "measures": [each.spec for each in self.measures],
            "steps": [rounding(kind) for kind in kinds],
            "double": torch.float64 in kinds,
            "columns": [columns[row] for row in range(len(columns))] if together else [],
            "examples": inputs.loader.examples if together else 0,
            "batch_size": inputs.loader.batch_size or 0,
        }
        self._inputs = inputs
        asked = (streamed.kind_of(each) for each in self.measures)
        self._grams = SiteGrams(rows, list(dict.fromkeys(filter(None, asked))))
        self._kernels = {
            each.key: SiteVectors(sites, rows, 0, SameStream())
            for each in self.measures
            if streamed.is_kernel(each)
        }
        return [
            Activations(tap.subject, tap.sites, self._taker(k), tap.tokens)
            for k, tap in enumerate(taps)
        ]

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        count = sum(map(len, about["rows"]))
        metrics: dict[str, Metric] = {"flaws": Flaws(count)}
        for each in chosen_list(about["measures"]):
            if not streamed.needs_all(each):
                metrics[each.key] = streamed.sums_of(each, count, about["passes"])
        if about["columns"]:
            dtype = torch.float64 if about["double"] else torch.float32
            features = sum(width for _, width in about["columns"])
            metrics[ROWS] = ExampleRows(about["examples"], features, dtype)
        return metrics

    def start(self, batch: Batch) -> None:
        self._batch = batch
        home = self.metrics["flaws"].device
        if ROWS in self.metrics:
            self._places = queued(places_of(batch, self._inputs), home)
        self._grams.begin(batch.n, home)
        for key, vectors in self._kernels.items():
            vectors.begin(self.metrics[key], batch.n)

    def finish(self) -> None:
        number = self._batch.number
        grams, bad, constant = self._grams.finish()
        flaws = self.metrics["flaws"]
        flaws.update(self._grams.silent, bad, constant, number)
        for each in self.measures:
            if each.key in self._kernels:
                self._kernels[each.key].finish(number)
            elif not streamed.needs_all(each):
                streamed.update(each, self.metrics[each.key], grams, constant, number)
        if ROWS in self.metrics:
            self.metrics[ROWS].see(self._places)

    def bytes_of_batch(self, n: int) -> int:
        count = sum(map(len, self.about["rows"]))
        needed = self._grams.bytes_of(n)
        for each in self.measures:
            if each.key in self._kernels:
                metric = self.metrics[each.key]
                needed += self._kernels[each.key].bytes_of(metric, n) + metric.bytes_beside(n)
            elif not streamed.needs_all(each):
                needed += streamed.bytes_of_batch(each, count, n)
                needed += self.metrics[each.key].bytes_beside()
        widths = [width for _, width in self.about["columns"]]
        return needed + bytes_beside(self.about["examples"], widths)

    def less(self) -> str:
        if not self.about["columns"]:
            return super().less()
        return f"fewer examples ({option('examples')}), {super().less()}"

    @property
    def bytes_together(self) -> int:
        """Of the features of all examples, where a measure needs them; 0: none does."""
        features = sum(width for _, width in self.about["columns"])
        return self.about["examples"] * features * (8 if self.about["double"] else 4)

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        sums = [each for key, each in metrics.items() if key not in ("flaws", ROWS)]
        return largest_finite(*(each.compute()[1] for each in sums)) if sums else torch.nan

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        measures = chosen_list(about["measures"])
        if not all(map(streamed.needs_all, measures)):
            tell_errors(ran)
        found = cls.found(about, metrics, ran)
        reasons = metrics["flaws"].reasons()
        layers = [PairLayers.of(each, reasons) for each in about["layers"]]
        attributes = ran.attributes | {"notes": "\n".join(ran.notes)}
        return [
            measures_dataset(layers[i], layers[j], found, facts, attributes)
            for (i, j), facts in zip(pairs(len(layers)), about["facts"], strict=True)
        ]

    @classmethod
    def found(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> dict[Chosen, streamed.Found]:
        """Of each measure the values of all layers; how its batches were combined is noted."""
        flaws, found = metrics["flaws"], {}
        reasons = flaws.reasons()
        rows = [each["rows"] for each in about["layers"]]
        cells = {(a, b): None for i, j in pairs(len(rows)) for a in rows[i] for b in rows[j]}
        how: dict[str, list[str]] = {}
        measures = chosen_list(about["measures"])
        of_all = [each for each in measures if streamed.needs_all(each)]
        together = values_of(of_all, metrics[ROWS], about, reasons, cells) if of_all else {}
        for each in measures:
            how.setdefault(streamed.described(each, about["batch_size"]), []).append(each.spec)
            if each in together:
                found[each] = together[each]
            else:
                found[each] = streamed.result_of(each, metrics[each.key], reasons, flaws.constant)
        for text, specs in how.items():
            ran.notes.append(f"{', '.join(specs)}: {text}")
        return found

    def _taker(self, tap: int) -> Callable[[Site, Tensor, Site | None], None]:
        takes = [self._grams.taker(tap)]
        takes += [vectors.reducer(tap) for vectors in self._kernels.values()]
        rows, columns = self.about["rows"][tap], self.about["columns"]

        def take(site: Site, x: Tensor, twin: Site | None) -> None:
            for each in takes:
                each(site, x, twin)
            if columns:  # a twin's, too: its layer has columns of its own
                self.metrics[ROWS].update(self._places, columns[rows[site.name]][0], x)

        return take


READER = MeasuresReader
