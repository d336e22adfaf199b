"""CKA and other measures of the same layers in one pass, in one Dataset for each pair of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import xarray as xr
from torchmetrics import Metric

from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.cka_result import PairLayers
from vitprobe.analyses.cka_views import pairs
from vitprobe.analyses.measures import MeasuresReader
from vitprobe.analyses.measures_result import variables_of
from vitprobe.analyses.measures_sums import facts_of
from vitprobe.errors import InputError, option
from vitprobe.measures import chosen_list
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.reader import Batch, Ran
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import Activations

_PREFIX = "measures."  # of the names of sums
_SHARED = ("labels", "rows", "layers", "passes")  # what both readers say of the layers


class CKAMeasuresReader(CKAReader):
    """`CKAReader` with `MeasuresReader` beside it; their results are one.

    measures: of MeasuresReader. options: of CKAReader.
    """

    def __init__(self, measures: str | Sequence[str], **options: Any):
        super().__init__(**options)
        own = {"layers_of_each": self.layers_of_each, "tokens": self.tokens}
        self.beside = MeasuresReader(measures, self.layers, **own)

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        own = facts_of(self.beside.measures)
        return [each | own for each in super().facts(inputs)]

    def begin(
        self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]
    ) -> list[Activations]:
        wants = super().begin(models, inputs, notes)
        wants += self.beside.begin(models, inputs, notes)
        about = self.beside.about
        self.about["measured"] = {key: about[key] for key in about if key not in _SHARED}
        return wants

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        metrics = super().metrics_of(about)
        if "measured" in about:
            found = MeasuresReader.metrics_of(about | about["measured"])
            metrics |= {_PREFIX + key: metric for key, metric in found.items()}
        return metrics

    def start(self, batch: Batch) -> None:
        self.beside.metrics = _of_measures(self.metrics)
        super().start(batch)
        self.beside.start(batch)

    @contextmanager
    def during_forward(self, subject: int) -> Iterator[None]:
        with ExitStack() as both:
            both.enter_context(super().during_forward(subject))
            both.enter_context(self.beside.during_forward(subject))
            yield

    def finish(self) -> None:
        super().finish()
        self.beside.finish()

    def bytes_of_batch(self, n: int) -> int:
        self.beside.metrics = _of_measures(self.metrics)
        return super().bytes_of_batch(n) + self.beside.bytes_of_batch(n)

    def less(self) -> str:
        return self.beside.less()

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        found = [super().largest_error(metrics)]
        if beside := _of_measures(metrics):
            found.append(MeasuresReader.largest_error(beside))
        return max((each for each in found if each == each), default=float("nan"))

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        results = super().results(about, metrics, ran)
        if "measured" not in about:
            return results
        both = about | about["measured"]
        found = MeasuresReader.found(both, _of_measures(metrics), ran)
        layers = [PairLayers.of(each, [""] * _rows(about)) for each in about["layers"]]
        joined = []
        for (i, j), result in zip(pairs(len(layers)), results, strict=True):
            result = result.assign(variables_of(layers[i], layers[j], found))
            joined.append(result.assign_attrs(notes="\n".join(ran.notes)))
        return joined


def reader_of_measures(measures: str | Sequence[str], **options: Any) -> CKAReader:
    """The reader of these measures, `cka` among them or not. options: of `CKAReader`.

    Raises:
        InputError: there is no such measure, or an option that is CKA's alone without it.
    """
    asked = chosen_list(measures)
    others = [each.spec for each in asked if each.name != "cka"]
    if not others:
        return CKAReader(**options)
    if len(others) < len(asked):
        return CKAMeasuresReader(others, **options)
    for name, usual in (("estimator", "unbiased"), ("kernel", "linear"), ("null", None)):
        if options.get(name, usual) != usual:
            raise InputError(
                f"{option(name, options[name])} is of cka, which was not asked for: name it, too "
                f"({option('measure', ','.join(['cka', *others]))})"
            )
    own = ("layers", "layers_of_each", "tokens")
    return MeasuresReader(others, **{key: options[key] for key in own if key in options})


def _of_measures(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    found = metrics.items()
    return {key.removeprefix(_PREFIX): each for key, each in found if key.startswith(_PREFIX)}


def _rows(about: Mapping[str, Any]) -> int:
    return sum(map(len, about["rows"]))
