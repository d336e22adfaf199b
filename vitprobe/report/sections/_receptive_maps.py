"""Receptive fields: which pixels the centre of every layer depends on."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from vitprobe.figures.receptive_field_panels import check, distinct
from vitprobe.report.kinds import Dim, Mark, Stack
from vitprobe.report.provenance import heading

MOST = 64  # cells along a side; of larger images each holds several pixels


def receptive_maps(result: xr.Dataset) -> Stack:
    """A map for each layer, circles of 50 and 90 % of the gradient, the theoretical box.

    Raises:
        InputError: the result holds no receptive fields.
    """
    check(result)
    shown = distinct(result)
    maps = shown["map"].values
    pixels = math.ceil(max(maps.shape[1:]) / MOST)
    layers = [str(name) for name in shown["layer"].values]
    cells = f" A cell is {pixels} x {pixels} pixels." if pixels > 1 else ""
    return Stack(
        f"Receptive fields of {heading(result)}",
        [Dim("layer", layers, slider=True, start=len(layers) // 2)],
        _summed(maps, pixels),
        unit="share of the gradient",
        limits=(0.0, None),
        scale="root",
        said=np.array([_said(shown.isel(layer=k)) for k in range(len(layers))], object),
        marks=[_marks(shown.isel(layer=k), pixels) for k in range(len(layers))],
        caption="Which pixels the middle of a layer depends on: mean absolute gradient over "
        "images. Circles: 50 % (solid) and 90 % (dashed) of it lie within; square: what the "
        f"kernels alone would allow, where that ends within the image.{cells}",
    )


def _summed(maps: np.ndarray, pixels: int) -> np.ndarray:
    """(layers, rows, columns) in blocks of so many pixels; those at the edge may be smaller."""
    rows, columns = (range(0, count, pixels) for count in maps.shape[1:])
    return np.add.reduceat(np.add.reduceat(maps, rows, axis=1), columns, axis=2)


def _marks(one: xr.Dataset, pixels: int) -> list[Mark]:
    if not np.isfinite(one["map"].values).all():
        return []
    row, column = ((float(one[f"point_{axis}"]) + 0.5) / pixels for axis in ("row", "col"))
    found = []
    for name, dashed in (("r50", False), ("r90", True)):
        across = 2 * float(one[name]) / pixels
        if math.isfinite(across):
            found.append(Mark(row, column, across, across, round=True, dashed=dashed))
    box = float(one["box"])
    if box < max(one["map"].shape):
        found.append(Mark(row, column, box / pixels, box / pixels))
    return found


def _said(one: xr.Dataset) -> str:
    blank = str(one["blank"].values)
    if blank:
        return blank
    box, why = float(one["box"]), str(one["no_box"].values)
    kernels = f"kernels allow {box:.0f} px" if math.isfinite(box) else why and f"no box: {why}"
    parts = [f"{share} within {float(one[name]):.1f} px" for name, share in SHARES]
    return "; ".join(filter(None, [*parts, kernels]))


SHARES = (("r50", "50 %"), ("r90", "90 %"))
