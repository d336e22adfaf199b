"""Skips against branches along the depth: their ratio and their cosine, for each kind of token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.figures.skips_panels import GROUPS, check
from vitprobe.report.kinds import Axis, Kind, Level, Lines, Series
from vitprobe.report.layers import along, labels_of, named, no_value
from vitprobe.report.sections._skip_maps import skip_maps

KINDS = {"attention": "attention", "mlp": "MLP", "block": "blocks"}
AXES = {
    "ratio": Axis("|skip| / |branch|", log=True),
    "cosine": Axis("cosine of skip and branch"),
}
TITLES = {"ratio": "|skip| / |branch|", "cosine": "Cosine of skip and branch"}
LEVELS = {"ratio": Level("equal", 1.0), "cosine": Level("at right angles", 0.0)}


def figures(results: Sequence[xr.Dataset]) -> list[Kind]:
    """For patches, class token and registers the ratio and the cosine, all models in one figure;
    then of each model the maps of its places."""
    for result in results:
        check(result)
    return [*_curves(results), *(stack for result in results for stack in skip_maps(result))]


def _curves(results: Sequence[xr.Dataset]) -> list[Lines]:
    found = []
    for group, (words, *_) in GROUPS.items():
        for name, axis in AXES.items():
            x, series = _series(results, name, group)
            if series:
                caption = _blanks(results) if not found else ""
                title = f"{TITLES[name]}, {words}"
                found.append(Lines(title, x, axis, series, [LEVELS[name]], caption=caption))
    return found


def _series(results: Sequence[xr.Dataset], name: str, group: str) -> tuple[Axis, list[Series]]:
    """A line for each model and kind of layer; MLPs of several models are dashed."""
    labels = labels_of(results)
    axis, places = along([named(result) for result in results])
    several, found = len(results) > 1, []
    for colour, (result, label, x) in enumerate(zip(results, labels, places, strict=True)):
        values, errors = (result[key].sel(group=group).values for key in (name, f"{name}_se"))
        kinds = result["kind"].values.astype(str)
        for kind, words in KINDS.items():
            rows = np.flatnonzero(kinds == kind)
            if not np.isfinite(values[rows]).any():
                continue
            found.append(
                Series(
                    f"{label}, {words}" if several else words,
                    values[rows],
                    x[rows],
                    errors[rows],
                    names=[named(result)[row] for row in rows],
                    colour=colour if several else list(KINDS).index(kind),
                    dashed=several and kind == "mlp",
                )
            )
    return axis, found


def _blanks(results: Sequence[xr.Dataset]) -> str:
    said = [no_value(named(each), each["blank"].values) for each in results if "blank" in each]
    return " ".join(filter(None, said))
