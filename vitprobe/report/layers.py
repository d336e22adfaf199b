"""Layers along an axis, and what several results in one figure share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from vitprobe.figures.attention_panels import short_names
from vitprobe.report.kinds import Axis

LEVEL = 0.95
# what two results of one model may differ in, from what is likeliest to be looked for
DIFFERENT = ("tokens_asked", "pool", "solver", "shots", "dataset", "split", "seed", "examples")


def layer_axis(names: Sequence[str]) -> Axis:
    """Layers by their names, without what all of them share: that is in the axis's title."""
    short, pattern = short_names(xr.Dataset(coords={"layer": list(names)}), ticks=True)
    title = pattern if pattern.removeprefix("layer").strip(":*. ") else "layer"
    return Axis(title, short)


def along(layers: Sequence[Sequence[str]]) -> tuple[Axis, list[np.ndarray]]:
    """An axis for the layers of several models, and where each model's stand on it: at their names
    where all models have the same, else at their share of the depth."""
    first = [str(name) for name in layers[0]]
    if all([str(name) for name in names] == first for names in layers):
        return layer_axis(first), [np.arange(len(first), dtype=float) for _ in layers]
    axis = Axis("depth (share of the layers)", low=0.0, high=1.0)
    return axis, [(np.arange(len(names)) + 0.5) / max(len(names), 1) for names in layers]


def cka_axis(values: np.ndarray) -> Axis:
    """From 0 to 1; from below where values are."""
    return Axis("CKA", low=None if (values < 0).any() else 0.0, high=1.0)


def named(result: xr.Dataset) -> list[str]:
    return [str(name) for name in result["layer"].values]


def labels_of(results: Sequence[xr.Dataset], keys: Sequence[str] = DIFFERENT) -> list[str]:
    """Each result's model, and where two are of one model what else they differ in."""
    models = [str(each.attrs.get("model", "model")) for each in results]
    if len(set(models)) == len(models):
        return models
    varied = [key for key in keys if len({str(each.attrs.get(key, "")) for each in results}) > 1]
    found = []
    for model, result in zip(models, results, strict=True):
        words = [f"{key.replace('_', ' ')} {result.attrs.get(key, '')}" for key in varied]
        found.append(", ".join([model, *words]))
    if len(set(found)) == len(found):
        return found
    return [f"{label} ({number})" for number, label in enumerate(found, 1)]


def interval(attrs: Mapping[str, Any]) -> float:
    """Half a 95 % interval in standard errors, of the result's degrees of freedom; NaN: unknown."""
    degrees = float(attrs.get("se_df", np.nan))
    return float(stdtrit(degrees, (1 + LEVEL) / 2)) if degrees > 0 else float("nan")


def no_value(names: Sequence[str], reasons: Iterable[str]) -> str:
    """Which layers have no value, and why, as a sentence; "": all have one."""
    groups: dict[str, list[str]] = {}
    for name, reason in zip(names, reasons, strict=True):
        if str(reason):
            groups.setdefault(str(reason), []).append(str(name))
    found = []
    for reason, layers in groups.items():
        which = layers[0] if len(layers) == 1 else f"{layers[0]} and {len(layers) - 1} more"
        found.append(f"{which} ({reason})")
    return f"No value: {'; '.join(found)}." if found else ""
