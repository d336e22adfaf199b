"""Sums and sites -> the labelled Dataset of one pair of models."""

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from torch import Tensor

from vitprobe.analyses.provenance import strings, versions
from vitprobe.metrics import CKAResult
from vitprobe.taps import Selection


@dataclass(frozen=True)
class Layers:
    """One model's layers: their rows in the metric, and for each what was compared or why not."""

    selection: Selection
    rows: list[int]
    features: list[int]
    blanks: list[str]  # a reason, or ""


def pair_dataset(a: Layers, b: Layers, result: CKAResult, attributes: dict) -> xr.Dataset:
    """Views a and b out of all layers' results, with names, reasons and provenance."""
    dims = ("layer_a", "layer_b")
    values = {
        name: (dims, _block(getattr(result, field), a, b))
        for name, field in (("cka", "cka"), ("cka_se", "se"), ("hsic", "hsic"))
    }
    dataset = xr.Dataset(values, coords=_layer_coords("a", a) | _layer_coords("b", b))
    for side, layers in (("a", a), ("b", b)):
        for kind, column, table in (
            ("left_out", "left_out_reason", layers.selection.left_out),
            ("folded", "folded_into", layers.selection.folded),
        ):
            dim = f"{kind}_{side}"
            dataset = dataset.assign_coords({dim: (dim, strings(list(table)))})
            dataset[f"{column}_{side}"] = (dim, strings(list(table.values())))
    dataset["cka"].attrs["long_name"] = "centred kernel alignment"
    dataset["cka_se"].attrs["long_name"] = "standard error of cka"
    dataset["hsic"].attrs["long_name"] = "Hilbert-Schmidt independence criterion"
    dataset.attrs = {
        **attributes,
        "se_df": result.df,
        **versions(),
    }
    return dataset


def _block(values: Tensor, a: Layers, b: Layers) -> np.ndarray:
    square = values.reshape(math.isqrt(values.numel()), -1)  # torchmetrics gives 1 x 1 as a scalar
    return square[a.rows][:, b.rows].cpu().numpy()


def _layer_coords(side: str, layers: Layers) -> dict:
    sites, dim = layers.selection.sites, f"layer_{side}"
    columns = {
        dim: [site.name for site in sites],
        f"type_{side}": [site.type for site in sites],
        f"block_{side}": [site.block for site in sites],
        f"blank_{side}": layers.blanks,
    }
    coords = {name: (dim, strings(column)) for name, column in columns.items()}
    features = np.array(layers.features, dtype=np.int64)
    return coords | {f"features_{side}": (dim, features)}
