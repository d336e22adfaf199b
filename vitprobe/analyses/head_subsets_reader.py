"""Heads of one layer, their distances, and the CKA of any of them with other layers: a reader."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torchmetrics import Metric

from vitprobe import ops
from vitprobe.analyses.attention_reader import statistics_of
from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.analyses.global_attention import choose_layers, global_attention
from vitprobe.errors import InputError, option, say
from vitprobe.metrics import AttentionMeans
from vitprobe.metrics.cka import MINIMUM_EXAMPLES
from vitprobe.metrics.kernels import noise_floors, noise_scale
from vitprobe.metrics.silence import Silence
from vitprobe.metrics.subset_cka import SubsetCKA
from vitprobe.ops.reference import first_norms
from vitprobe.ops.reference_attention import attention_weights
from vitprobe.ops.wide import wide
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.provenance import (
    as_attribute,
    data_facts,
    model_facts,
    run_attributes,
    strings,
    versions,
)
from vitprobe.passes.reader import Batch, Ran, Reader, largest_finite
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import Activations, AttentionOf, Want
from vitprobe.taps import Attention, AttentionSite, Selection, Site, select
from vitprobe.taps.token_grid import token_grid

EARLY = 4  # blocks of the other model, unless others are asked for


class HeadSubsetsReader(Reader):
    """CKA of neighbouring heads with layers, as `vitprobe.head_subsets` gives it, in any pass.

    The first two models given are compared; one result.

    Args:
        layer, sizes, layers, grid, prefix, patch_size: as for `vitprobe.head_subsets`.
    """

    analysis = "head_subsets"
    least = MINIMUM_EXAMPLES

    def __init__(
        self,
        layer: str | None = None,
        sizes: Sequence[int] | None = None,
        layers: LayerSpec | None = None,
        grid: tuple[int, int] | None = None,
        prefix: int | None = None,
        patch_size: int | tuple[int, int] | None = None,
    ):
        self.layer, self.sizes, self.layers = layer, sizes, layers
        self.tokens = {"grid": grid, "prefix": prefix, "patch_size": patch_size}

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        facts = {"analysis": self.analysis}
        for side, place in zip("ab", _two(inputs), strict=True):
            facts |= model_facts(f"model_{side}", inputs.subjects[place])
        facts["layers_b"] = as_attribute("first blocks" if self.layers is None else self.layers)
        asked = {"layer": self.layer, "sizes": self.sizes, **self.tokens}
        asked = {f"{name}_asked": as_attribute(value) for name, value in asked.items()}
        return [facts | data_facts(inputs) | asked]

    def begin(self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]) -> list[Want]:
        first, second = (models[place] for place in _two(inputs))
        self.site = _chosen_site(first, self.layer)
        self.compared = _early(second, self.layers)
        if self.compared.note:
            say(notes, f"{second.subject.label}: {self.compared.note}")
        self._tokens = token_grid(
            first.subject.model, self.site.tokens, first.image_size, **self.tokens
        )
        self.about = {
            "site": self.site.name,
            "heads": self.site.heads,
            "sizes": _subset_sizes(self.site, self.sizes),
            "layers": [site.name for site in self.compared.sites],
        }
        self._itemsize = max(first.subject.dtype.itemsize, 4)  # of heads' attention and outputs
        return [
            AttentionOf(first.number, [self.site], self._take_heads),
            Activations(second.number, self.compared.sites, self._take_layer),
        ]

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        heads, layers = about["heads"], len(about["layers"])
        return {
            "distances": AttentionMeans([heads]),
            "cka": SubsetCKA(heads, layers),
            "silence": Silence(layers),
        }

    def start(self, batch: Batch) -> None:
        self._batch, self._heads = batch, None
        self._layers: dict[str, tuple[Tensor, Tensor]] = {}

    def finish(self) -> None:
        number, cka = self._batch.number, self.metrics["cka"]
        if self._heads is None:
            raise InputError(
                f"attention of {self.site.name!r} did not fire in batch {number}: choose another"
            )
        statistics, heads, norms = self._heads
        blank = (torch.full_like(heads[0], torch.nan), heads.new_zeros(()))
        names = self.about["layers"]
        found = [self._layers.get(name, blank) for name in names]
        silent = [place for place, name in enumerate(names) if name not in self._layers]
        vectors = torch.cat([heads, torch.stack([vector for vector, _ in found])])
        noise = torch.stack([floor for _, floor in found])
        self.metrics["silence"].update(silent, number)
        self.metrics["distances"].update([statistics], batch=number)
        cka.update(vectors, norms, noise, self._batch.n, number)

    def bytes_of_batch(self, n: int) -> int:
        site, rows = self.site, len(self.about["layers"]) + self.site.heads
        # weights before and after the softmax; v, the heads' outputs, and those beside each other
        attention = 2 * site.tokens**2 + 3 * site.tokens * site.head_dim
        vectors = 3 * rows * (n * (n - 1) // 2) * 8  # of all rows, apart, stacked and together
        subsets = sum(site.heads - size + 1 for size in self.about["sizes"])
        beside = self.metrics["cka"].bytes_beside(subsets)
        images = n * site.per_image * site.heads
        return images * attention * self._itemsize + vectors + beside

    def less(self) -> str:
        return "" if self.layers is None else f"fewer layers ({option('layers')})"

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        return largest_finite(metrics["cka"].compute().se)

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        if ran.batches == 1:
            say(ran.notes, "one batch only: no error bars (a standard error needs two)")
        distances = metrics["distances"].compute().distance.reshape(-1).cpu()
        order = distances.argsort(stable=True).tolist()
        subsets = [
            order[start : start + k] for k in about["sizes"] for start in range(len(order) - k + 1)
        ]
        cka = metrics["cka"]
        result, (blank_subset, blank_layer) = cka.of(subsets), cka.blanks(subsets)
        silent = metrics["silence"].reasons()
        blank_layer = [first or second for first, second in zip(silent, blank_layer, strict=True)]
        dataset = xr.Dataset(
            {
                "cka": (("subset", "layer"), result.cka.cpu().numpy()),
                "cka_se": (("subset", "layer"), result.se.cpu().numpy()),
                "distance": ("subset", [distances[subset].mean().item() for subset in subsets]),
                "head_distance": ("head", distances.numpy()),
            },
            coords={
                "size": ("subset", np.array([len(subset) for subset in subsets])),
                "heads": ("subset", strings([", ".join(map(str, subset)) for subset in subsets])),
                "blank_subset": ("subset", strings(blank_subset)),
                "layer": strings(about["layers"]),
                "blank_layer": ("layer", strings(blank_layer)),
            },
        )
        dataset["cka"].attrs["long_name"] = "centred kernel alignment"
        dataset["distance"].attrs |= {"long_name": "mean attention distance", "units": "pixels"}
        dataset["head_distance"].attrs["units"] = "pixels"
        dataset.attrs = {
            **run_attributes(about["facts"][0]),
            "layer_a": about["site"],
            **ran.attributes,
            "estimator": "unbiased",
            "se_df": result.df,
            "notes": "\n".join(ran.notes),
            **versions(),
        }
        return [dataset]

    def _take_heads(self, site: AttentionSite, attention: Attention) -> None:
        heads = list(head_outputs(attention).unbind(1))
        scale = noise_scale(heads[0].dtype, heads[0][0].numel())
        self._heads = (
            statistics_of(attention, self._tokens),
            wide(ops.centered_grams(heads, "unbiased")),
            wide(first_norms(heads)) * scale,
        )

    def _take_layer(self, site: Site, x: Tensor, _: Site | None) -> None:
        vector, floor = ops.centered_grams([x], "unbiased")[0], noise_floors([x])[0]
        self._layers[site.name] = wide(vector), wide(floor)


def head_outputs(attention: Attention) -> Tensor:
    """softmax(qk) v of every head: (B, H, T, Dv), as the model computes them."""
    q, k, v = attention.q, attention.k, attention.v
    bias = attention.bias
    if bias is not None and bias.dtype == torch.bool:
        bias = torch.zeros(bias.shape, device=q.device).masked_fill_(~bias, -torch.inf)
    weights = attention_weights(q, k, attention.scale, bias)
    v = v.to(weights.dtype).repeat_interleave(q.shape[1] // v.shape[1], dim=1)
    with torch.autocast(q.device.type, enabled=False):
        return weights @ v


def _two(inputs: Inputs) -> Sequence[int]:
    if len(inputs.places) != 2:
        raise InputError(f"two models are compared, not {len(inputs.places)}")
    return inputs.places


def _chosen_site(model: Surveyed, layer: str | None) -> AttentionSite:
    label = model.subject.label
    sites, _ = global_attention(label, model.attention)
    if layer is not None:
        sites = choose_layers(sites, layer)
    if sites[0].source == "weights":
        raise InputError(
            f"{label}: of {sites[0].name} only the attention weights can be read, not the heads' "
            "outputs"
        )
    return sites[0]


def _early(model: Surveyed, layers: LayerSpec | None) -> Selection:
    if layers is not None:
        return select(model.sites, layers)
    blocks = select(model.sites, "blocks")
    early = [site for site in blocks.sites if site.module][:EARLY]
    return replace(blocks, sites=tuple(early))


def _subset_sizes(site: AttentionSite, sizes: Sequence[int] | None) -> list[int]:
    if sizes is None:
        powers = [2**power for power in range(site.heads.bit_length())]
        return [size for size in powers if size < site.heads] or [1]
    for size in sizes:
        if not 1 <= size <= site.heads:
            raise InputError(
                f"no subset of {size} heads: {site.name} has {site.heads}, give sizes from 1"
            )
    return sorted(set(sizes))
