"""Receptive fields: within which distance of its centre the gradient of every layer lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.figures.receptive_field_panels import SHARES, check, distinct, uniform_radii
from vitprobe.report.kinds import Axis, Kind, Lines, Series
from vitprobe.report.layers import along, labels_of, named, no_value
from vitprobe.report.sections._receptive_maps import receptive_maps

EVEN = "an even map"
BOX = "half of the theoretical box's side"


def figures(results: Sequence[xr.Dataset]) -> list[Kind]:
    """Both radii along the layers, of all models; then of each model the maps."""
    for result in results:
        check(result)
    shown = [distinct(result) for result in results]
    return [*_radii(shown, labels_of(results)), *map(receptive_maps, results)]


def _radii(shown: Sequence[xr.Dataset], labels: Sequence[str]) -> list[Lines]:
    """Of 50 and of 90 % of the gradient; dashed: of a map that is the same everywhere."""
    axis, places = along([named(each) for each in shown])
    even = [uniform_radii(each["map"].shape[1:], _points(each)) for each in shown]
    blank = [no_value(named(each), each["blank"].values) for each in shown if "blank" in each]
    found = []
    for k, (name, share) in enumerate(SHARES.items()):
        series = []
        for colour, (each, label, x) in enumerate(zip(shown, labels, places, strict=True)):
            names = named(each)
            known = np.isfinite(each[name].values)
            series.append(
                Series(
                    label, each[name].values, x, each[f"{name}_se"].values, names=names,
                    colour=colour,
                )
            )  # fmt: skip
            level = np.where(known, even[colour][:, k], np.nan)
            series.append(Series(EVEN, level, x, names=names, colour=colour, dashed=True))
            if name == "r90":
                series += _boxes(each, x, colour)
        title = f"Distance within which {share} of the gradient lies"
        y = Axis("distance from the centre", low=0.0, unit="px")
        caption = " ".join(filter(None, blank)) if k == 0 else ""
        found.append(Lines(title, axis, y, series, caption=caption))
    return found


def _boxes(one: xr.Dataset, x: np.ndarray, colour: int) -> list[Series]:
    """Half of the box's side, where the box ends within the image."""
    half = one["box"].values / 2
    inside = np.where(2 * half < max(one["map"].shape[1:]), half, np.nan)
    if not np.isfinite(inside).any():
        return []
    return [Series(BOX, inside, x, names=named(one), colour=colour, line=False)]


def _points(one: xr.Dataset) -> list[tuple[float, float]]:
    return list(zip(one["point_row"].values, one["point_col"].values, strict=True))
