"""Models against models, by the best matches of their layers, as a reader of a pass."""

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from torchmetrics import Metric

from vitprobe.analyses.cka_null import check_replicates, null_facts
from vitprobe.analyses.cka_reader import tell_errors
from vitprobe.analyses.cka_result import described
from vitprobe.analyses.cka_vectors import SiteVectors
from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.analyses.compare_result import dataset_of, null_similarity
from vitprobe.analyses.vectors_reader import VectorsReader
from vitprobe.errors import InputError, option, say
from vitprobe.metrics.model_cka import ModelCKA
from vitprobe.metrics.null import PermutedSums
from vitprobe.metrics.silence import Silence
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import as_attribute, data_facts, model_facts
from vitprobe.passes.reader import Ran, largest_finite
from vitprobe.passes.schedule import stream_and_limit
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import Activations
from vitprobe.taps import Selection, select
from vitprobe.taps.tokens import check_tokens

NULL = 100  # permutations, unless another number is asked for


class CompareReader(VectorsReader):
    """How alike several models are, as `vitprobe.compare` gives it, in any pass. One result.

    Args:
        layers, tokens, null: as for `vitprobe.compare`.
        layers_of_each: instead of `layers` one selection for each model given.

    Raises:
        InputError: an unknown word for tokens, or too few permutations.
    """

    analysis = "compare"

    def __init__(
        self,
        layers: LayerSpec = "blocks",
        *,
        layers_of_each: Sequence[LayerSpec] | None = None,
        tokens: str = "all",
        null: int = NULL,
    ):
        check_tokens(tokens)
        if null:
            check_replicates(null)
        self.layers, self.layers_of_each = layers, layers_of_each
        self.tokens, self.null = tokens, null

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        if len(inputs.subjects) < 2:
            raise InputError(
                "a model is compared with others, and only one is given: name another, such as "
                f"{inputs.subjects[0].label},resnet20@digits"
            )
        facts = {"analysis": self.analysis}
        for number, subject in enumerate(inputs.subjects, 1):
            facts |= model_facts(f"model_{number}", subject)
        asked = self.layers_of_each or [self.layers]
        words = list(dict.fromkeys(as_attribute(each) for each in asked))
        return [
            facts
            | data_facts(inputs)
            | {
                "layers": words[0] if len(words) == 1 else " and ".join(map(as_attribute, asked)),
                "tokens": self.tokens,
                **null_facts(self.null or None),
                "passes": inputs.loader.passes,
                "estimator": "unbiased",
                "kernel": "linear",
            }
        ]

    def begin(
        self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]
    ) -> list[Activations]:
        for k, subject in enumerate(inputs.subjects):
            if inputs.places.count(k) > 1:
                say(notes, f"{subject.label} was given more than once: it is there once")
        asked = self.layers_of_each or [self.layers] * len(inputs.places)
        first = [asked[inputs.places.index(k)] for k in range(len(models))]
        self.selected = [
            self._select(model, layers) for model, layers in zip(models, first, strict=True)
        ]
        rows, count = [], 0
        for model, selection in zip(models, self.selected, strict=True):
            if selection.note:
                say(notes, f"{model.subject.label}: {selection.note}")
            rows.append({site.name: count + k for k, site in enumerate(selection.sites)})
            count += len(selection.sites)
        self.about = {
            "models": [model.subject.label for model in models],
            "layers": [
                described(selection, of_model)
                for selection, of_model in zip(self.selected, rows, strict=True)
            ],
            "null": {"replicates": self.null, "seed": inputs.options.seed} if self.null else None,
            "passes": inputs.loader.passes,
        }
        stream, limit = stream_and_limit(inputs.device, None)
        sites = [selection.sites for selection in self.selected]
        self._vectors = SiteVectors(sites, rows, limit, stream)
        return [
            Activations(model.number, of_model, self._vectors.reducer(k), self.tokens)
            for k, (model, of_model) in enumerate(zip(models, sites, strict=True))
        ]

    def _select(self, model: Surveyed, layers: LayerSpec) -> Selection:
        sites = model.sites  # what fails there names the model already
        try:
            return select(sites, layers, self.tokens)
        except InputError as error:
            raise InputError(f"{model.subject.label}: {error}") from error

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        counts = [len(layers["rows"]) for layers in about["layers"]]
        metrics: dict[str, Metric] = {
            "cka": ModelCKA(counts, passes=about["passes"]),
            "silence": Silence(sum(counts)),
        }
        if about["null"]:
            metrics["null"] = PermutedSums(sum(counts), **about["null"])
        return metrics

    def less(self) -> str:
        asked = self.layers_of_each or [self.layers]
        few = all(layers in ("blocks", ["blocks"]) for layers in asked)
        changes = ["fewer layers" if few else f"fewer layers ({option('layers', 'blocks')})"]
        if self.null:
            changes.append(f"no permutations ({option('null', 0)})")
        return " or ".join([*changes, f"fewer models at once ({option('at_once')})"])

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        found = metrics["cka"].compute()
        others = found.similarity_se.clone()
        others.fill_diagonal_(float("nan"))
        return largest_finite(others)

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        tell_errors(ran)
        null = null_similarity(metrics["cka"], metrics["null"]) if about["null"] else None
        return [dataset_of(about, metrics["cka"], metrics["silence"].reasons(), null, ran)]
