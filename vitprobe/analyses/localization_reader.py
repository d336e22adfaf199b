"""CKA of a layer's tokens with the patches of the image, as a reader of a pass."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import xarray as xr
from torch import Tensor
from torchmetrics import Metric

from vitprobe.analyses.localization_places import (
    Places,
    TokenChoice,
    chosen_tokens,
    places_of,
    token_choice,
)
from vitprobe.analyses.localization_result import described, model_dataset
from vitprobe.data.model_input import ModelInput, image_of
from vitprobe.errors import option, say
from vitprobe.metrics import CKA
from vitprobe.metrics.cka import MINIMUM_EXAMPLES
from vitprobe.metrics.kernels import noise_scale
from vitprobe.metrics.silence import Silence
from vitprobe.ops.wide import wide_home
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import as_attribute, facts_of_each
from vitprobe.passes.reader import Batch, Ran, Reader, largest_finite
from vitprobe.passes.schedule import queued
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import Activations, InputsOf, Want
from vitprobe.taps import Site


class LocalizationReader(Reader):
    """How far tokens stay with their patch, as `vitprobe.localization` gives it, in any pass.

    Results: one for each distinct model.

    Args:
        layer, tokens, grid, prefix, patch_size: as for `vitprobe.localization`, of all models.

    Raises:
        InputError: tokens that are no rows and columns.
    """

    analysis = "localization"
    least = MINIMUM_EXAMPLES

    def __init__(
        self,
        layer: str | None = None,
        tokens: TokenChoice = None,
        grid: tuple[int, int] | None = None,
        prefix: int | None = None,
        patch_size: int | tuple[int, int] | None = None,
    ):
        self.layer, self.tokens = layer, token_choice(tokens)
        self.options = {"grid": grid, "prefix": prefix, "patch_size": patch_size}

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        tokens = ";".join(f"{row},{col}" for row, col in self.tokens or ())
        asked = {"layer": self.layer, "tokens": tokens or None, **self.options}
        asked = {f"{name}_asked": as_attribute(value) for name, value in asked.items()}
        return facts_of_each(self.analysis, inputs, asked)

    def begin(self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]) -> list[Want]:
        self.places = [places_of(model, self.layer, self.options) for model in models]
        self._rows, about, wants = [], [], []
        for model, places in zip(models, self.places, strict=True):
            chosen = chosen_tokens(model.subject.label, places, self.tokens)
            rows = _Rows(places, chosen, image_of(model.images))
            self._rows.append(rows)
            about.append(described(model, places, chosen))
            wants += [
                InputsOf(model.number, _patches(rows)),
                Activations(model.number, [places.site], _tokens(rows)),
            ]
        self.about = {"models": about, "passes": inputs.loader.passes}
        return wants

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        metrics = {}
        for k, model in enumerate(about["models"]):
            tokens = len(model["tokens"]) + model["has_class"]
            patches = model["grid"][0] * model["grid"][1]
            metrics[f"cka{k}"] = CKA(tokens, patches, passes=about["passes"])
            metrics[f"silence{k}"] = Silence(1)
        return metrics

    def start(self, batch: Batch) -> None:
        self._batch = batch
        for k, rows in enumerate(self._rows):
            rows.begin(self.metrics[f"cka{k}"], batch.n)

    def finish(self) -> None:
        for k, rows in enumerate(self._rows):
            self.metrics[f"silence{k}"].update([0] if rows.silent else [], self._batch.number)
            rows.finish(self._batch.number)

    def bytes_of_batch(self, n: int) -> int:
        return sum(rows.bytes_of(self.metrics[f"cka{k}"], n) for k, rows in enumerate(self._rows))

    def less(self) -> str:
        return f"fewer tokens ({option('tokens', '0,0')}) or another layer ({option('layer')})"

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        of_tokens = [metric for key, metric in metrics.items() if key.startswith("cka")]
        return largest_finite(*(metric.compute().se for metric in of_tokens))

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        if ran.batches == 1:
            say(ran.notes, "one batch only: no error bars (a standard error needs two)")
        return [
            model_dataset(model, metrics[f"cka{k}"], metrics[f"silence{k}"].reasons()[0], each, ran)
            for k, (model, each) in enumerate(zip(about["models"], about["facts"], strict=True))
        ]


class _Rows:
    """The vectors of one model's tokens and patches in one batch, in a buffer that outlives it.

    images: some of the model's inputs, (n, C, H, W).
    """

    def __init__(self, places: Places, chosen: Sequence[tuple[int, int]], images: Tensor):
        self.places, self.chosen = places, chosen
        self.tokens = len(chosen) + places.has_class
        self._image, site = images[0], places.site
        kinds = {torch.promote_types(kind, torch.float32) for kind in (site.dtype, images.dtype)}
        self._dtype = torch.float64 if torch.float64 in kinds else torch.float32
        self._vectors = torch.empty(self.tokens + places.patches, 0)

    def begin(self, metric: CKA, n: int) -> None:
        """A batch of n examples comes."""
        self.metric, self._n, self.silent = metric, n, True
        shape = len(self._vectors), metric.vector_length(n)
        if self._vectors.shape != shape:
            self._vectors = torch.empty(shape, dtype=self._dtype, device=metric.device)
        # of first examples, times what rounding makes of them
        self._norms = self._vectors.new_zeros(len(self._vectors), dtype=torch.float64)

    def take_patches(self, images: Tensor) -> None:
        """images: (n, C, H, W)."""
        self._fill(slice(self.tokens, None), self.places.patches_of(images))

    def take_tokens(self, x: Tensor) -> None:
        """x: the layer's activation, (n, ...)."""
        self._fill(slice(0, self.tokens), self.places.tokens_of(x, self.chosen))
        self.silent = False

    def _fill(self, rows: slice, xs: list[Tensor]) -> None:
        vectors, norms = self._vectors[rows], self._norms[rows]
        kind = torch.promote_types(xs[0].dtype, torch.float32)
        if (kind, xs[0].device) == (vectors.dtype, vectors.device):
            self.metric.reduce_(vectors, norms, xs)
        else:
            own = xs[0].new_empty(vectors.shape, dtype=kind)
            norms_there = torch.empty(len(xs), dtype=torch.float64, device=wide_home(xs[0].device))
            self.metric.reduce_(own, norms_there, xs)
            vectors.copy_(own)
            norms.copy_(norms_there)
        scales = [noise_scale(x.dtype, x[0].numel()) for x in xs]
        alike = len(set(scales)) == 1
        norms *= scales[0] if alike else queued(torch.tensor(scales).double(), norms.device)

    def finish(self, batch: int) -> None:
        """Give the batch of this number to the metric; a layer that did not fire is blank."""
        if self.silent:
            self._vectors[: self.tokens] = torch.nan
        noise = self.metric.noise_of(self._norms, torch.ones_like(self._norms), self._n)
        self.metric.update_vectors(self._vectors, noise, self._n, batch)

    def bytes_of(self, metric: CKA, n: int) -> int:
        """Of a batch of n examples: the vectors, a copy of tokens and patches, what the sums
        need."""
        site, vectors = self.places.site, len(self._vectors) * metric.vector_length(n)
        copies = n * (site.features * site.dtype.itemsize + self._image.nbytes)
        packed = 2 * vectors * self._dtype.itemsize  # as they come, and in their rows
        return packed + copies + metric.bytes_beside(n)


def _patches(rows: _Rows) -> Callable[[Tensor | ModelInput], None]:
    return lambda images: rows.take_patches(image_of(images))


def _tokens(rows: _Rows) -> Callable[[Site, Tensor, Site | None], None]:
    return lambda site, x, twin: rows.take_tokens(x)
