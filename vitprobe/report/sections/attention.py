"""How far heads look: sorted by their distance in each layer, and every head along the depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.figures.attention import check
from vitprobe.report.kinds import Axis, Level, Lines, Series
from vitprobe.report.layers import along, labels_of, layer_axis, named, no_value

QUANTITIES = {  # title, axis, unit
    "distance": ("Attention distance", "mean attention distance", "px"),
    "entropy": ("Attention entropy", "attention entropy", "nats"),
    "patch_mass": ("Attention on patches", "share of attention that patches get", ""),
    "distance_raw": ("Attention distance, special tokens as 0 px", "mean attention distance", "px"),
}
UNIFORM = "uniform attention"


def figures(results: Sequence[xr.Dataset]) -> list[Lines]:
    """Of several models first the means of their heads; then each model, head by head."""
    for result in results:
        check(result)
    labels = labels_of(results)
    found = [_models(results, labels)] if len(results) > 1 else []
    for colour, (result, label) in enumerate(zip(results, labels, strict=True)):
        found.append(_ranked(result, label))
        found += [_by_depth(result, name, label, colour) for name in QUANTITIES if name in result]
    return found


def _tells(result: xr.Dataset, name: str) -> bool:
    """Where all tokens are patches, their share of the attention is 1, and both distances one."""
    if name not in result:
        return False
    mass = result["patch_mass"].values if "patch_mass" in result else np.array([])
    special = (mass[np.isfinite(mass)] < 1 - 1e-6).any()
    return name in ("distance", "entropy") or bool(special)


def _models(results: Sequence[xr.Dataset], labels: Sequence[str]) -> Lines:
    axis, places = along([named(result) for result in results])
    series = []
    for colour, (result, label, x) in enumerate(zip(results, labels, places, strict=True)):
        values = result["distance"].values
        mean, low, high = _over_heads(values)
        series.append(
            Series(label, mean, x, low=low, high=high, names=named(result), colour=colour)
        )
    words = "from the most local head to the most global"
    title, *y = QUANTITIES["distance"]
    return Lines(f"{title}, means of the heads", axis, _axis(*y), series, band=words)


def _ranked(result: xr.Dataset, label: str) -> Lines:
    """Each layer's heads from the most local to the most global (Raghu et al. 2021, Fig. 3)."""
    series = []
    short = layer_axis(named(result)).names or named(result)
    for layer, name in enumerate(named(result)):
        values, errors = (result[key].values[layer] for key in ("distance", "distance_se"))
        order = np.argsort(values)[: int(np.isfinite(values).sum())]  # NaN last
        if not len(order):
            continue
        points = [f"{name}, head {result['head'].values[head]}" for head in order]
        line = f"layer {short[layer]}" if short[layer].isdigit() else name
        x = np.arange(1.0, len(order) + 1)
        series.append(Series(line, values[order], x, errors[order], names=points, colour=layer))
    levels, _ = _uniform(result, "distance")
    heads = Axis("head, from the most local to the most global")
    _, *y = QUANTITIES["distance"]
    return Lines(
        f"Heads by their distance, {label}", heads, _axis(*y), series, levels, ordered=True
    )


def _by_depth(result: xr.Dataset, name: str, label: str, colour: int) -> Lines:
    """Every head of every layer; a head that is picked is joined to a line."""
    values, errors = result[name].values, result[f"{name}_se"].values
    names = named(result)
    series = [
        Series(
            "one head",
            values[:, place],
            error=errors[:, place],
            names=names,
            group=str(head),
            colour=colour,
            line=False,
        )
        for place, head in enumerate(result["head"].values)
        if np.isfinite(values[:, place]).any()
    ]
    mean, _, _ = _over_heads(values)
    series.append(Series("mean of the heads", mean, names=names, colour=colour))
    levels, drawn = _uniform(result, name)
    title, *y = QUANTITIES[name]
    caption = no_value(names, result["blank"].values) if "blank" in result.coords else ""
    y_axis = _axis(*y) if name != "patch_mass" else Axis(y[0])
    return Lines(
        f"{title}, {label}", layer_axis(names), y_axis, [*series, *drawn], levels, "head",
        caption=caption,
    )  # fmt: skip


def _uniform(result: xr.Dataset, name: str) -> tuple[list[Level], list[Series]]:
    """What attention that is equal over all tokens has: a level, or a line where layers differ."""
    if f"{name}_uniform" not in result.coords:
        return [], []
    values = result[f"{name}_uniform"].values
    known = values[np.isfinite(values)]
    if not len(known):
        return [], []
    if np.ptp(known) <= 1e-6 * abs(known[0]):
        return [Level(UNIFORM, float(known[0]))], []
    return [], [Series(UNIFORM, values, names=named(result), colour=7, dashed=True)]


def _over_heads(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(layers, heads) -> mean, least and largest of the heads that have a value."""
    known = np.isfinite(values)
    some, count = known.any(1), np.maximum(known.sum(1), 1)
    mean = np.where(known, values, 0).sum(1) / count
    low = np.where(known, values, np.inf).min(1, initial=np.inf)
    high = np.where(known, values, -np.inf).max(1, initial=-np.inf)
    mean, low, high = (np.where(some, each, np.nan) for each in (mean, low, high))
    return mean, low, high


def _axis(title: str, unit: str) -> Axis:
    return Axis(title, low=0.0, unit=unit)
