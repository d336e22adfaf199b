"""Studies of trained models: accuracy, and each layer against that of the model of all data or of
the largest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.figures.study_groups import Group, Variant, Words, spread
from vitprobe.figures.study_panels import BLANKS, GROUPS, depths_of, parts_of
from vitprobe.report.kinds import Axis, Level, Lines, Series
from vitprobe.report.layers import cka_axis, layer_axis

TITLES = {
    "cka": "CKA with {whole}",
    "distance": "Attention distance",
    "skip_ratio": "|skip| / |branch|, patches",
}
AXES = {
    "distance": Axis("mean attention distance", low=0.0, unit="px"),
    "skip_ratio": Axis("|skip| / |branch|", log=True),
}
DEPTH = Axis("relative depth (the output last)")


def study_figures(
    dataset: xr.Dataset, groups: Sequence[Group], words: Words, x: Axis
) -> list[Lines]:
    """Accuracy of all groups, then of each group what its layers are like. x: of the accuracies."""
    found = [_accuracy(dataset, groups, words, x)]
    for group in groups:
        for dim, name in GROUPS:
            found += _layers(dataset, group, dim, name, words)
    return found


def band_of(dataset: xr.Dataset) -> str:
    return f"lowest to highest of {dataset.sizes['seed']} seeds"


def _accuracy(dataset, groups: Sequence[Group], words: Words, x: Axis) -> Lines:
    series = []
    for group in groups:
        variants = group.variants
        rows = [spread(dataset["accuracy"].isel(variant.at).values) for variant in variants]
        mean, low, high = 100 * np.array(rows, dtype=float).T
        series.append(
            Series(
                group.label,
                mean,
                [100 * v.x if x.unit == "%" else v.x for v in variants],
                names=[_variant(v, words) for v in variants],
                **_band(dataset, low, high),
            )
        )
    classes = int(dataset.attrs.get("num_classes", 0))
    levels = [Level("chance", 100 / classes)] if classes > 1 else []
    title, y = str(dataset.attrs.get("title", "Accuracy")), Axis("test accuracy", unit="%")
    return Lines(
        f"{title}: accuracy", x, y, series, levels, band=band_of(dataset),
        caption=_missing(dataset, groups),
    )  # fmt: skip


def _layers(dataset, group: Group, dim: str, name: str, words: Words) -> list[Lines]:
    """A line for each variant; of CKA the one that others are compared with is what another seed of
    it has, dashed. [] where nothing has a value."""
    prefix, series, axis = dim.removesuffix("layer"), [], DEPTH
    for step, variant in enumerate(group.variants):
        own = [str(text) for text in dataset[f"{prefix}layer_name"].values[variant.model]]
        count = sum(map(bool, own))
        names = own[:count]
        if not count:
            continue
        if group.names:
            axis = layer_axis(names)
        x = np.arange(count, dtype=float)
        if not group.names:
            x = depths_of(dataset, variant.model, dim, count)
        other = name == "cka" and variant.whole
        values = dataset["cka_other_seeds" if other else name].isel(variant.at)
        if name == "skip_ratio":
            values = values.sel(group="patches")
        mean, low, high = spread(values.values[:, :count])
        parts = parts_of(dataset, variant.model, name, count)
        for number, (_, rows) in enumerate(parts):
            if not np.isfinite(mean[rows]).any():
                continue
            label = f"{words.whole}, another seed" if other else _variant(variant, words)
            if len(parts) > 1:
                kind = str(dataset["skip_kind"].values[variant.model][rows[0]])
                label += f", {kind.replace('mlp', 'MLP')}"
            series.append(
                Series(
                    label,
                    mean[rows],
                    x[rows],
                    names=[names[row] for row in rows],
                    colour=step,
                    dashed=other or number > 0,
                    **_band(dataset, low[rows], high[rows]),
                )
            )
    if not series:
        return []
    levels = [Level("equal", 1.0)] if name == "skip_ratio" else []
    y = cka_axis(dataset["cka"].values) if name == "cka" else AXES[name]
    title = f"{TITLES[name].format(whole=words.whole)}, {group.label}"
    return [Lines(title, axis, y, series, levels, ordered=True, band=band_of(dataset))]


def _variant(variant: Variant, words: Words) -> str:
    return variant.label if words.legend == "model" else f"{variant.label} {words.legend}"


def _band(dataset, low: np.ndarray, high: np.ndarray) -> dict:
    return {"low": low, "high": high} if dataset.sizes["seed"] > 1 else {}


def _missing(dataset, groups: Sequence[Group]) -> str:
    """What no variant of a group has, and the first reason."""
    found = []
    for group in groups:
        for dim, name in GROUPS:
            prefix = dim.removesuffix("layer")
            some = any(
                str(text)
                for variant in group.variants
                for text in dataset[f"{prefix}layer_name"].values[variant.model]
            )
            reasons = [
                str(reason)
                for variant in group.variants
                for reason in dataset[BLANKS[name]].isel(variant.at).values.ravel()
                if str(reason)
            ]
            if not some and reasons:
                what = {"cka": "CKA", "distance": "attention distance"}.get(name, "skip ratio")
                found.append(f"No {what} of {group.label}: {reasons[0]}.")
    return " ".join(found)
