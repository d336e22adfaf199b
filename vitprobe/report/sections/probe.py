"""What layers know: accuracy of their probes along the depth, and of tokens as small images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.figures.probe_panels import check, each_token, method, spine
from vitprobe.report.kinds import Axis, Dim, Kind, Level, Lines, Series, Stack
from vitprobe.report.layers import along, labels_of, named, no_value


def figures(results: Sequence[xr.Dataset]) -> list[Kind]:
    """Accuracy against depth, all models in one figure; of tokens `each` also a map of them."""
    for result in results:
        check(result)
    labels = labels_of(results)
    axis, places = along([named(result) for result in results])
    series: list[Series] = []
    for colour, (result, label, x) in enumerate(zip(results, labels, places, strict=True)):
        line = _tokens if each_token(result) else _layers
        series += [*line(result, label, x, colour), *_own(result, label, axis, colour)]
    told = (float(each.attrs["chance"]) for each in results if "chance" in each.attrs)
    levels = [Level("chance", 100 * chance) for chance in dict.fromkeys(told)]
    made = [fact for fact in method(results) if not fact.startswith("bands")]
    blank = [no_value(named(each), each["blank"].values) for each in results if _has_reasons(each)]
    curves = Lines(
        "Accuracy of probes",
        axis,
        Axis("accuracy of the probe", low=0.0, high=100.0, unit="%"),
        series,
        levels,
        band="from the lowest token to the highest",
        caption=" ".join(filter(None, [", ".join(made), *blank])),
    )
    tokens = [(r, label) for r, label in zip(results, labels, strict=True) if each_token(r)]
    return [curves, *(stack for result, label in tokens for stack in _maps(result, label))]


def _layers(result: xr.Dataset, label: str, x: np.ndarray, colour: int) -> list[Series]:
    """A line through the outputs of blocks, dots for layers in between."""
    values, errors = 100 * result["accuracy"].values, 100 * result["accuracy_se"].values
    names, line = named(result), spine(result)
    rest = np.setdiff1d(np.arange(len(values)), line)

    def part(name: str, rows: np.ndarray, joined: bool) -> Series:
        own = [names[row] for row in rows]
        return Series(
            name, values[rows], x[rows], errors[rows], names=own, colour=colour, line=joined
        )

    found = [part(label, line, True)]
    if np.isfinite(values[rest]).any():
        found.append(part(f"{label}, layers within blocks", rest, False))
    return found


def _tokens(result: xr.Dataset, label: str, x: np.ndarray, colour: int) -> list[Series]:
    """The mean over tokens, from the lowest to the highest, and where there is one the class
    token, dashed."""
    values, names = 100 * result["accuracy"].transpose("layer", "token").values, named(result)
    known = np.isfinite(values)
    some = known.any(1)
    with np.errstate(invalid="ignore"):
        mean = np.where(known, values, 0).sum(1) / np.where(some, known.sum(1), np.nan)
    low = np.where(some, np.where(known, values, np.inf).min(1), np.nan)
    high = np.where(some, np.where(known, values, -np.inf).max(1), np.nan)
    found = [Series(label, mean, x, low=low, high=high, names=names, colour=colour)]
    first = np.where(result["prefix"].values > 0, values[:, 0], np.nan)
    if np.isfinite(first).any():
        name = f"{label}, first token"
        found.append(Series(name, first, x, names=names, colour=colour, dashed=True))
    return found


def _own(result: xr.Dataset, label: str, axis: Axis, colour: int) -> list[Series]:
    """The model's own classifier, as a level in the model's colour."""
    value = result.attrs.get("own_accuracy")
    if value is None or result.attrs.get("model_weights") == "random":
        return []
    ends = [0.0, 1.0] if axis.names is None else [0.0, len(axis.names) - 1.0]
    name = f"{label}, its own classifier"
    return [
        Series(name, [100 * float(value)] * 2, ends, names=[""] * 2, colour=colour, dashed=True)
    ]


def _maps(result: xr.Dataset, label: str) -> list[Stack]:
    """Accuracy at every patch, an image for each layer that has a grid."""
    values, names = 100 * result["accuracy"].transpose("layer", "token").values, named(result)
    grids = np.stack([result[key].values for key in ("rows", "columns")], 1)
    layers = np.flatnonzero(grids.min(1) > 0)
    if not len(layers):
        return []
    images = np.full((len(layers), *grids[layers].max(0)), np.nan)
    for image, layer in zip(images, layers, strict=True):
        rows, columns = grids[layer]
        first = int(result["prefix"].values[layer])
        patches = values[layer, first : first + rows * columns]
        image[:rows, :columns] = patches.reshape(rows, columns)
    known = images[np.isfinite(images)]
    return [
        Stack(
            f"Accuracy of each token's probe, {label}",
            [Dim("layer", [names[layer] for layer in layers], slider=True)],
            images,
            used=grids[layers],
            unit="%",
            limits=(float(known.min()), float(known.max())) if known.size else (None, None),
        )
    ]


def _has_reasons(result: xr.Dataset) -> bool:
    return "blank" in result.coords and result["blank"].dims == ("layer",)
