"""Maps of similarities: every measure, estimator and run of the same pair of models in one map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.errors import InputError
from vitprobe.figures.chosen import with_layers
from vitprobe.figures.cka_sides import ROUNDING, layers_of
from vitprobe.figures.measures import measures_in
from vitprobe.report.kinds import Map, Sheet, Side
from vitprobe.report.layers import interval

# what two runs of one pair may differ in, and how a sheet says so
DIFFERENT = ("estimator", "kernel", "tokens_a", "tokens_b", "dataset", "split", "seed", "examples")


def figures(results: Sequence[xr.Dataset]) -> list[Map]:
    """One map for each pair of models and layers; its sheets are what there is of them."""
    groups: dict[tuple, list[xr.Dataset]] = {}
    for result in results:
        sides = [layers_of(result, side) for side in "ab"]
        key = tuple((side.title, tuple(side.names)) for side in sides)
        groups.setdefault(key, []).append(result)
    return [_map(group) for group in groups.values()]


def _map(group: Sequence[xr.Dataset]) -> Map:
    first = group[0]
    rows, columns = (side_of(first, side) for side in "ab")
    varied = [key for key in DIFFERENT if len({str(each.attrs.get(key)) for each in group}) > 1]
    sheets = [sheet for result in group for sheet in sheets_of(result, varied)]
    return Map(f"{rows.title} and {columns.title}", rows, columns, sheets)


def sheets_of(result: xr.Dataset, varied: Sequence[str] = ()) -> list[Sheet]:
    """A sheet for each measure of a result."""
    told = [key for key in varied if key != "estimator"]  # the name says it
    said = ", ".join(f"{key.replace('_', ' ')} {result.attrs.get(key)}" for key in told)
    found = []
    for name, spec in measures_in(result).items():
        measure = result[name].attrs.get("measure", "")
        title = spec if measure else f"CKA, {result.attrs.get('estimator', 'unbiased')}"
        found.append(sheet_of(result, name, ", ".join(filter(None, (title, said)))))
    return found


def sheet_of(result: xr.Dataset, name: str, title: str) -> Sheet:
    """One measure of a result."""
    values, distance = _array(result, name), bool(result[name].attrs.get("distance", 0))
    values = np.where((values > 1) & (values <= 1 + ROUNDING), 1.0, values)
    most = float(np.nanmax(values, initial=0.0, where=np.isfinite(values))) if distance else 1.0
    error = _array(result, f"{name}_se") if f"{name}_se" in result else None
    if error is not None and not np.isfinite(error).any():
        error = None
    null = name == "cka" and "null_line" in result
    return Sheet(
        title,
        values,
        error,
        _array(result, "null_line") if null else None,
        _array(result, "p_value") if null else None,
        (0.0, most or 1.0),
        distance,
        interval(result.attrs),
        _blank(result, "" if name == "cka" else f"{name}_"),
    )


def _array(result: xr.Dataset, name: str) -> np.ndarray:
    return result[name].transpose("layer_a", "layer_b").values.astype(float)


def _blank(result: xr.Dataset, prefix: str = "") -> tuple[list[str], list[str]]:
    """Why layers of a, and of b, have no values."""
    found = []
    for side in "ab":
        held = result.get(f"{prefix}blank_{side}")
        names = result[f"layer_{side}"].values
        found.append([""] * len(names) if held is None else [str(each) for each in held.values])
    return found[0], found[1]


def side_of(result: xr.Dataset, side: str) -> Side:
    """The layers of side `a` or `b`."""
    layers, other = layers_of(result, side), "b" if side == "a" else "a"
    try:
        alone = result.drop_dims(f"layer_{other}")
        kept = set(with_layers([alone], "blocks")[0][f"layer_{side}"].values.tolist())
    except InputError:  # it has no blocks
        kept = set()
    outputs = [name in kept for name in layers.names]
    return Side(layers.title, layers.names, layers.blocks, outputs)
