"""Every analysis that the models allow, as one reader of a pass."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, replace
from typing import Any

import xarray as xr
from torchmetrics import Metric

from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.analyses.merged import reader_of
from vitprobe.analyses.paper_parts import ANALYSES, LeftOut, Taken, taken
from vitprobe.analyses.paper_result import paper_dataset
from vitprobe.analyses.pictures import choose
from vitprobe.errors import InputError
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import as_attribute, data_facts, model_facts
from vitprobe.passes.reader import Batch, Ran, Reader
from vitprobe.passes.sums import Tally
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import Want

_TALLY = "tally"
_BETWEEN = "/"  # 3/attention/means0: place, analysis, name of a metric


class PaperReader(Reader):
    """All readers of `ANALYSES`, on the models that each of them takes, in any pass.

    Each model is looked at once, and makes one forward a batch for all of them. What a model does
    not allow is left out, with the reason. Results: the findings, then the results of each
    analysis, as its own reader would give them.

    Args:
        layers: of CKA and dominant examples, for all models, as for `vitprobe.cka`.
        index: images that are drawn beside, which the results are to tell of.
    """

    analysis = "paper"

    def __init__(self, layers: LayerSpec = "blocks", index: int | Sequence[int] | None = None):
        self.layers, self.index = layers, index
        self.parts: list[Taken] = []

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        facts: dict[str, Any] = {"analysis": self.analysis}
        for number, subject in enumerate(inputs.subjects, 1):
            facts |= model_facts(f"model_{number}", subject)
        index = "none" if self.index is None else str(as_attribute(self.index))
        return [facts | data_facts(inputs) | {"layers": as_attribute(self.layers), "index": index}]

    def begin(self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]) -> list[Want]:
        data = inputs.loader.data
        if self.index is not None and hasattr(data, "__getitem__") and hasattr(data, "__len__"):
            choose(data, self.index, inputs.loader.transforms[0])  # before anything is computed
        self.parts, self.left_out = [], []
        for asked in ANALYSES:
            found, left_out = taken(asked, self.layers, models, inputs)
            self.parts += found
            self.left_out += left_out
        usual = self.layers in ("blocks", ["blocks"])
        if not usual and not any(part.reader.analysis == CKAReader.analysis for part in self.parts):
            raise InputError(self.left_out[0].reason)  # layers that no model has: a typo
        if not self.parts:
            raise InputError(f"no analysis can be made: {self.left_out[0].reason}")
        self._size = inputs.loader.batch_size
        self.about = {
            "models": [model.subject.label for model in models],
            "parts": [part.about for part in self.parts],
            "left_out": [list(astuple(each)) for each in self.left_out],
        }
        return [want for part in self.parts for want in part.heard()]

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        metrics: dict[str, Metric] = {}
        for place, part in enumerate(about["parts"]):
            reader = reader_of(part["analysis"])
            if part["version"] != reader.version:
                raise InputError(
                    f"version {part['version']} of {reader.analysis}'s estimator, and this is "
                    f"version {reader.version}: compute it afresh"
                )
            own = {**reader.metrics_of(part["about"]), _TALLY: Tally()}
            for metric in own.values():
                metric.sync_on_compute = metric._to_sync = False
            start = f"{place}{_BETWEEN}{part['analysis']}{_BETWEEN}"
            metrics |= {start + name: metric for name, metric in own.items()}
        return metrics

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Those of all parts; each part is given its own."""
        return self._metrics

    @metrics.setter
    def metrics(self, metrics: Mapping[str, Metric]) -> None:
        self._metrics = metrics
        self._tallies = []
        for part, (_, own) in zip(self.parts, _apart(metrics), strict=True):
            self._tallies.append(own.pop(_TALLY))
            part.reader.metrics = own

    def start(self, batch: Batch) -> None:
        for part, tally in zip(self.parts, self._tallies, strict=True):
            n, counts = part.start(batch, self._size)
            if n:
                tally.update(n, counts)

    @contextmanager
    def during_forward(self, subject: int) -> Iterator[None]:
        with ExitStack() as during:
            for part in self.parts:
                if part.now and subject in part.places:
                    during.enter_context(part.reader.during_forward(subject))
            yield

    def finish(self) -> None:
        for part in self.parts:
            if part.now:
                part.reader.finish()

    def bytes_of_batch(self, n: int) -> int:
        shown = [min(n, part.first or n) for part in self.parts]
        pairs = zip(self.parts, shown, strict=True)
        return sum(part.reader.bytes_of_batch(some) for part, some in pairs)

    def less(self) -> str:
        return self.parts[0].reader.less()

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        errors = [
            reader_of(analysis).largest_error(own)
            for analysis, own in _apart(metrics)
            if own.pop(_TALLY).batches
        ]
        return max(filter(math.isfinite, errors), default=math.nan)

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        found, left_out = [], [LeftOut(*each) for each in about["left_out"]]
        for part, (analysis, own) in zip(about["parts"], _apart(metrics), strict=True):
            reader, tally = reader_of(analysis), own.pop(_TALLY).compute()
            if not tally["examples"]:
                facts = part["about"]["facts"][0]
                why = f"no batch has {reader.least} examples or more, which it needs"
                left_out.append(LeftOut(analysis, facts.get("model", ""), why))
                continue
            notes = [*part["about"]["notes"], *ran.notes]
            if tally["dropped"]:
                few = f"{tally['dropped']} examples were dropped, in batches of fewer than"
                notes.append(f"{few} {reader.least}")
            counts = {name: tally[name] for name in ("examples", "batches")}
            found += reader.results(part["about"], own, replace(ran, notes=notes, **counts))
        return [paper_dataset(about["facts"][0], found, left_out, ran), *found]


def _apart(metrics: Mapping[str, Metric]) -> list[tuple[str, dict[str, Metric]]]:
    """For each part its analysis and its metrics, by their own names."""
    found: dict[str, tuple[str, dict[str, Metric]]] = {}
    for key, metric in metrics.items():
        place, analysis, name = key.split(_BETWEEN, 2)
        found.setdefault(place, (analysis, {}))[1][name] = metric
    return list(found.values())
