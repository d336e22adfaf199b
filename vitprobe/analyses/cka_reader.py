"""CKA of all sites as a reader of a pass: sites to vectors, vectors to sums, sums to results."""

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from torchmetrics import Metric

from vitprobe.analyses.cka_null import check_replicates, null_facts, null_variables
from vitprobe.analyses.cka_result import PairLayers, described, pair_dataset
from vitprobe.analyses.cka_vectors import SiteVectors
from vitprobe.analyses.cka_views import LayerSpec, View, pair_facts, pairs, views_of
from vitprobe.analyses.vectors_reader import VectorsReader
from vitprobe.data.layout import listed
from vitprobe.errors import InputError, option, say
from vitprobe.metrics import CKA
from vitprobe.metrics.kernels import vectoriser
from vitprobe.metrics.null import PermutedSums
from vitprobe.metrics.silence import Silence
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.reader import Ran, largest_finite
from vitprobe.passes.schedule import stream_and_limit
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import Activations
from vitprobe.taps import Selection, Site, select

_FEW_BATCHES = 8
_ENOUGH = 16  # images in a batch, for batches of one data set to weigh about the same


class CKAReader(VectorsReader):
    """Similarity of every layer with every other, as `vitprobe.cka` gives it, in any pass.

    Results: one for each pair of models, (0, 1), (0, 2), ..., then of each with itself.

    Args:
        layers: for all models, as for `vitprobe.cka`.
        layers_of_each: instead one selection for each model given.
        tokens, estimator, kernel, defer_bytes: as for `vitprobe.cka`; tokens also one word for each
            model.
        null: as for `vitprobe.cka`.

    Raises:
        InputError: an unknown estimator or kernel, too few permutations, or negative `defer_bytes`.
    """

    analysis = "cka"

    def __init__(
        self,
        layers: LayerSpec = "all",
        *,
        layers_of_each: Sequence[LayerSpec] | None = None,
        tokens: str | Sequence[str] = "all",
        estimator: str = "unbiased",
        kernel: str = "linear",
        null: int | None = None,
        defer_bytes: int | None = None,
    ):
        if defer_bytes is not None and defer_bytes < 0:
            raise InputError(f"defer_bytes must not be negative: {defer_bytes}")
        vectoriser(kernel, estimator)  # wrong words are refused before any work
        if null is not None:
            check_replicates(null)
        self.null = null
        self.layers, self.layers_of_each, self.tokens = layers, layers_of_each, tokens
        self.estimator, self.kernel, self.defer_bytes = estimator, kernel, defer_bytes

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        asked = null_facts(self.null)
        of_pairs = pair_facts(inputs, self._views(inputs), self.estimator, self.kernel)
        return [of_pair | asked for of_pair in of_pairs]

    def begin(
        self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]
    ) -> list[Activations]:
        views = self._views(inputs)
        self.selected = [
            (models[view.subject].subject, _selected(view, models[view.subject], len(views) > 1))
            for view in views
        ]
        for subject, selection in self.selected:
            note = selection.note and f"{subject.label}: {selection.note}"
            if note and note not in notes:
                say(notes, note)
        # a model is tapped once for each choice of tokens
        taps = list(dict.fromkeys((view.subject, view.tokens) for view in views))
        selections = [selection for _, selection in self.selected]
        sites = [_wanted(tap, views, selections, models[tap[0]].sites) for tap in taps]
        rows = _numbered(sites)
        self.about = {
            "labels": [models[subject].subject.label for subject, _ in taps],
            "rows": rows,
            "layers": [
                described(selection, rows[taps.index((view.subject, view.tokens))])
                for view, selection in zip(views, selections, strict=True)
            ],
            "kernel": self.kernel,
            "estimator": self.estimator,
            "passes": inputs.loader.passes,
        }
        if self.null is not None:
            self.about["null"] = {"replicates": self.null, "seed": inputs.options.seed}
        stream, limit = stream_and_limit(inputs.device, self.defer_bytes)
        self._vectors = SiteVectors(sites, rows, limit, stream)
        return [
            Activations(models[subject].number, sites[k], self._vectors.reducer(k), tokens)
            for k, (subject, tokens) in enumerate(taps)
        ]

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        count = sum(map(len, about["rows"]))
        options = {key: about[key] for key in ("kernel", "estimator", "passes")}
        metrics = {"cka": CKA(count, **options), "silence": Silence(count)}
        if "null" in about:
            estimator = about["estimator"]
            metrics["null"] = PermutedSums(count, None, **about["null"], estimator=estimator)
        return metrics

    def less(self) -> str:
        asked = self.layers_of_each or [self.layers]
        few = all(layers in ("blocks", ["blocks"]) for layers in asked)
        layers = f"fewer layers ({option('layers', None if few else 'blocks')})"
        return layers if self.null is None else f"{layers}, fewer permutations ({option('null')})"

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        return largest_finite(metrics["cka"].compute().se)

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        metric = metrics["cka"]
        tell_errors(ran)
        _tell_uneven(about, metric, ran)
        if about["estimator"] == "biased":
            say(ran.notes, "biased CKA depends on the batch size")
        silent, blank = metrics["silence"].reasons(), metric.blanks()[0]
        reasons = [first or second for first, second in zip(silent, blank, strict=True)]
        layers = [PairLayers.of(each, reasons) for each in about["layers"]]
        attributes = ran.attributes | {"notes": "\n".join(ran.notes)}
        result = metric.compute()
        found = []
        for (i, j), of_pair in zip(pairs(len(layers)), about["facts"], strict=True):
            both = layers[i], layers[j]
            dataset = pair_dataset(*both, result, of_pair, attributes)
            if "null" in metrics:
                dataset = null_variables(dataset, *both, metric.norms(), metrics["null"])
            found.append(dataset)
        return found

    def _views(self, inputs: Inputs) -> list[View]:
        layers = self.layers_of_each or [self.layers] * len(inputs.places)
        return views_of(inputs, layers, self.tokens)


def _selected(view: View, model: Surveyed, named: bool) -> Selection:
    sites = model.sites  # what fails there names the model already
    try:
        return select(sites, view.layers, view.tokens)
    except InputError as error:
        if not named:
            raise
        raise InputError(f"{model.subject.label}: {error}") from error


def _wanted(
    tap: tuple[int, str],
    views: Sequence[View],
    selections: Sequence[Selection],
    sites: Sequence[Site],
) -> list[Site]:
    """The sites of one model that any selection asks for with these tokens, in the order in which
    they fire."""
    chosen = {
        site.name
        for view, selection in zip(views, selections, strict=True)
        for site in selection.sites
        if (view.subject, view.tokens) == tap
    }
    return [site for site in sites if site.name in chosen]


def _numbered(sites: Sequence[Sequence[Site]]) -> list[dict[str, int]]:
    """For each model, the row of each site in the metric, by name."""
    rows, count = [], 0
    for of_model in sites:
        rows.append({site.name: count + k for k, site in enumerate(of_model)})
        count += len(of_model)
    return rows


def tell_errors(ran: Ran) -> None:
    """Say where there are too few batches for error bars that can be trusted."""
    if ran.batches == 1:
        say(ran.notes, "one batch only: no error bars (a standard error needs two)")
    elif (count := ran.batches // ran.passes) < _FEW_BATCHES:
        say(
            ran.notes,
            f"only {count} batches: error bars are rough below {_FEW_BATCHES} "
            "(use more examples or a smaller batch size)",
        )


def _tell_uneven(about: Mapping[str, Any], metric: CKA, ran: Ran) -> None:
    """Name layers whose scale changes from batch to batch, as no choice of images explains."""
    if ran.examples < _ENOUGH * ran.batches:
        return
    effective = metric.effective_batches()
    for label, rows in zip(about["labels"], about["rows"], strict=True):
        names = [name for name, row in rows.items() if effective[row] < ran.batches / 2]
        if names:
            few = min(float(effective[rows[name]]) for name in names)
            say(
                ran.notes,
                f"{label}: the scale of {listed(names)} changes so much from batch to "
                f"batch that the result rests on {few:.1f} of {ran.batches} batches",
            )
