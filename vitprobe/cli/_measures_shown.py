"""What `vitprobe cka --measure` says and writes of measures beside CKA."""

from collections import Counter

import numpy as np
import xarray as xr
from rich.console import Console

from vitprobe.cli._summary import counted, say
from vitprobe.cli._table import Column, print_table
from vitprobe.figures import plot, png_bytes
from vitprobe.figures.measures import measures_in

_MOST_ROWS = 40  # layers in a table; the CSV has all
_MOST_COLUMNS = 4  # measures in a table


def others_in(result: xr.Dataset) -> list[str]:
    """The variables of measures other than CKA."""
    return [name for name in measures_in(result) if name != "cka"]


def measure_columns(result: xr.Dataset) -> dict[str, np.ndarray]:
    """Columns of the CSV: each measure, its standard error and, where it has blanks of its own, why
    there is no value."""
    columns = {}
    for name in others_in(result):
        columns[name] = result[name].values.ravel()
        columns[f"{name}_se"] = result[f"{name}_se"].values.ravel()
        reasons = [result[f"{name}_blank_{side}"].values for side in "ab"]
        told = np.array([a or b for a in reasons[0] for b in reasons[1]], dtype=object)
        if any(told):
            columns[f"{name}_blank"] = told
    return columns


def measures_png(result: xr.Dataset) -> bytes | None:
    """The maps of all measures beside each other, where there are several."""
    held = measures_in(result)
    return png_bytes(plot(result, measure=list(held.values()))) if len(held) > 1 else None


def print_measures(console: Console, result: xr.Dataset) -> None:
    """By each measure the best match of each layer of model_a in model_b; why some have none."""
    names = others_in(result)
    for first in range(0, len(names), _MOST_COLUMNS):
        console.print()
        _print_matches(console, result, names[first : first + _MOST_COLUMNS])
    within = result.attrs["model_a"] == result.attrs["model_b"]  # both sides are the same layers
    for name in names:
        spec = result[name].attrs["measure"]
        for side in "a" if within else "ab":
            reasons = Counter(filter(None, result[f"{name}_blank_{side}"].values.tolist()))
            if reasons:
                say(console, "blank", f"{spec} of {result.attrs[f'model_{side}']}: "
                    f"{counted(reasons)}")  # fmt: skip


def _print_matches(console: Console, result: xr.Dataset, names: list[str]) -> None:
    a, b = (result.attrs[f"model_{side}"] for side in "ab")
    rows = range(result.sizes["layer_a"])
    title = f"each layer of {a} and its best match in {b}, by other measures"
    if len(rows) > _MOST_ROWS:
        blocks = result["block_a"].values.tolist()
        layers = result["layer_a"].values.tolist()
        rows = [k for k in rows if layers[k] in {*blocks, "output"} - {""}] or rows
        title += f" ({len(rows)} block outputs of {len(layers)} layers; all in the CSV)"
    columns = [Column("layer", [str(result["layer_a"].values[k]) for k in rows], "name")]
    for name in names:
        matches, best = zip(*(_best(result, name, k, a == b) for k in rows), strict=True)
        columns += [Column(str(result[name].attrs["measure"]), list(matches), "name")]
        columns += [Column("", list(best))]
    print_table(console, title, columns)


def _best(result: xr.Dataset, name: str, row: int, own: bool) -> tuple[str, str]:
    """The layer of model_b that is closest, and the value."""
    layers, values = result["layer_b"].values, result[name].values[row].copy()
    if own:  # besides itself
        values[layers == result["layer_a"].values[row]] = np.nan
    if np.isnan(values).all():
        return "blank", ""
    least = result[name].attrs["distance"]
    place = int(np.nanargmin(values) if least else np.nanargmax(values))
    return str(layers[place]), f"{values[place]:.3f}"
