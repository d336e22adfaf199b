"""Attention of single images, layer by layer and head by head; positions and filters of a model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.report.kinds import Dim, Gallery, Mark, Stack
from vitprobe.report.provenance import heading
from vitprobe.report.sections._filters import filter_gallery

MOST = 16  # patches along a side whose positions are compared; of more every second, third, ...


def figures(results: Sequence[xr.Dataset]) -> list[Stack | Gallery]:
    """Of each result its attention; then what the model knows beforehand, of each model once."""
    seen, beforehand = set(), []
    for result in results:
        model = str(result.attrs.get("model"))
        if model not in seen:
            seen.add(model)
            if "position_similarity" in result:
                beforehand.append(_positions(result, model))
            beforehand += filter_gallery(result)
    return [_attention(result) for result in results] + beforehand


def _attention(result: xr.Dataset) -> Stack:
    """Rollout, mean over heads and every head, of each image and layer."""
    heads = result["attention"].transpose("image", "layer", "head", "row", "col").values
    rollout = result["rollout"].transpose("image", "layer", "row", "col").values
    there = np.isfinite(heads)
    mean = np.where(there, heads, 0).sum(2) / np.where(there.any(2), there.sum(2), np.nan)
    values = np.concatenate([rollout[:, :, None], mean[:, :, None], heads], 2)
    count = heads.shape[2]
    said = np.full(values.shape[:3], "", object)
    said[:, :, 0] = "rollout of all layers up to this one, the largest is 1"
    said[:, :, 1] = "attention, mean over heads"
    said[:, :, 2:] = "attention of one head"
    blank = ~np.isfinite(values).any((-2, -1))
    said[blank] = "this layer has fewer heads"
    layers = [str(name) for name in result["layer"].values]
    tokens = heads.shape[3] * heads.shape[4] + int(result.attrs.get("prefix", 0))
    if result.attrs.get("query") == "class token":
        whose = "Attention of the class token to each patch"
    else:
        whose = "Attention to each patch, mean over queries"
    return Stack(
        f"Attention of {heading(result)}",
        [
            Dim("image", [f"image {name}" for name in result["image"].values]),
            Dim("layer", layers, slider=True, start=len(layers) - 1),
            Dim("map", ["rollout", "mean of heads", *(f"head {k}" for k in range(count))]),
        ],
        values,
        limits=(0.0, None),
        said=said,
        pictures=result["picture"].transpose("image", "y", "x", "rgb").values,
        caption=f"{whose}; were it uniform, each would get {1 / tokens:.2g}.",
    )


def _positions(result: xr.Dataset, model: str) -> Stack:
    """The cosine of each patch's position embedding with all others."""
    dims = ("row", "col", "row2", "col2")
    whole = result["position_similarity"].transpose(*dims).values
    rows, columns = whole.shape[:2]
    step = math.ceil(max(rows, columns) / MOST)
    values = whole[::step, ::step]
    places = [(row, column) for row in range(0, rows, step) for column in range(0, columns, step)]
    across = values.shape[1]
    middle = (values.shape[0] // 2) * across + across // 2
    thinned = f" One patch in {step} along each side is shown." if step > 1 else ""
    return Stack(
        f"Position embeddings of {model}",
        [
            Dim(
                "patch",
                [f"row {row}, column {column}" for row, column in places],
                start=middle,
                columns=across,
            )
        ],
        values.reshape(-1, rows, columns),
        unit="cosine",
        limits=(-1.0, 1.0),
        centred=True,
        marks=[[Mark(row + 0.5, column + 0.5, 1, 1)] for row, column in places],
        caption="Cosine of the position embedding of one patch (outlined) with that of every "
        f"other.{thinned}",
    )
