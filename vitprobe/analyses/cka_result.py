"""Sums and sites -> the labelled Dataset of one pair of models."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from vitprobe.metrics import CKAResult
from vitprobe.passes.provenance import run_attributes, strings, versions
from vitprobe.taps import Selection, Site
from vitprobe.taps.tokens import select_tokens


def described(selection: Selection, rows: Mapping[str, int]) -> dict[str, Any]:
    """What a result tells of one model's layers, as JSON can hold it; `PairLayers.of` reads it.

    rows: of each site in the metric.
    """
    sites = selection.sites
    return {
        "rows": [rows[site.name] for site in sites],
        "names": [site.name for site in sites],
        "types": [site.type for site in sites],
        "blocks": [site.block for site in sites],
        "features": [_features(site, selection.tokens) for site in sites],
        "left_out": selection.left_out,
        "folded": selection.folded,
    }


@dataclass(frozen=True)
class PairLayers:
    """One model's layers: their rows in the metric, and for each what was compared or why not."""

    rows: list[int]
    names: list[str]
    types: list[str]
    blocks: list[str]
    features: list[int]
    blanks: list[str]  # a reason, or ""
    left_out: dict[str, str]
    folded: dict[str, str]

    @classmethod
    def of(cls, about: Mapping[str, Any], reasons: Sequence[str]) -> "PairLayers":
        """Of what `described` gave; reasons: why each row of the metric is blank, or ""."""
        return cls(**about, blanks=[reasons[row] for row in about["rows"]])


def pair_dataset(
    a: PairLayers, b: PairLayers, result: CKAResult, facts: Mapping, attributes: Mapping
) -> xr.Dataset:
    """Layers a and b out of all layers' results, with names, reasons and provenance."""
    dims = ("layer_a", "layer_b")
    values = {
        name: (dims, _block(getattr(result, field), a, b))
        for name, field in (("cka", "cka"), ("cka_se", "se"), ("hsic", "hsic"))
    }
    dataset = layers_dataset(a, b, values)
    dataset["cka"].attrs["long_name"] = "centred kernel alignment"
    dataset["cka_se"].attrs["long_name"] = "standard error of cka"
    dataset["hsic"].attrs["long_name"] = "Hilbert-Schmidt independence criterion"
    dataset.attrs = {
        **run_attributes(facts),
        **attributes,
        "se_df": result.df,
        **versions(),
    }
    return dataset


def layers_dataset(a: PairLayers, b: PairLayers, values: Mapping[str, Any]) -> xr.Dataset:
    """Values over `layer_a` and `layer_b`, with what is known of the layers."""
    dataset = xr.Dataset(values, coords=_layer_coords("a", a) | _layer_coords("b", b))
    for side, layers in (("a", a), ("b", b)):
        for kind, column, table in (
            ("left_out", "left_out_reason", layers.left_out),
            ("folded", "folded_into", layers.folded),
        ):
            dim = f"{kind}_{side}"
            dataset = dataset.assign_coords({dim: (dim, strings(list(table)))})
            dataset[f"{column}_{side}"] = (dim, strings(list(table.values())))
    return dataset


def _block(values: Tensor, a: PairLayers, b: PairLayers) -> np.ndarray:
    square = values.reshape(math.isqrt(values.numel()), -1)  # torchmetrics gives 1 x 1 as a scalar
    return square[a.rows][:, b.rows].cpu().numpy()


def _layer_coords(side: str, layers: PairLayers) -> dict:
    dim = f"layer_{side}"
    columns = {
        dim: layers.names,
        f"type_{side}": layers.types,
        f"block_{side}": layers.blocks,
        f"blank_{side}": layers.blanks,
    }
    coords = {name: (dim, strings(column)) for name, column in columns.items()}
    features = np.array(layers.features, dtype=np.int64)
    return coords | {f"features_{side}": (dim, features)}


def _features(site: Site, tokens: str) -> int:
    """Numbers per example that are compared."""
    one = torch.empty(1, *site.shape, device="meta")
    return select_tokens(one, site.tokens, tokens).numel()
