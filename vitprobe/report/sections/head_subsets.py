"""Subsets of heads, from local to global: how alike they are to early layers of another model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.errors import InputError
from vitprobe.report.kinds import Axis, Lines, Series
from vitprobe.report.layers import interval
from vitprobe.report.provenance import labels


def figures(results: Sequence[xr.Dataset]) -> list[Lines]:
    """Of each result CKA against attention distance, a figure for each size of subsets."""
    return [lines for result in results for lines in _by_size(result)]


def _by_size(result: xr.Dataset) -> list[Lines]:
    if "cka" not in result or set(result["cka"].dims) != {"subset", "layer"}:
        raise InputError("cannot show this result: it has no 'cka' over subset and layer")
    result = result.sortby("distance").transpose("layer", "subset", ...)
    sizes = result["size"].values
    return [_lines(result, size) for size in sorted({int(each) for each in sizes})]


def _lines(result: xr.Dataset, size: int) -> Lines:
    """Local subsets on the left, global ones on the right; all sizes have the same axes."""
    band = result["cka_se"].fillna(0) * np.nan_to_num(interval(result.attrs), nan=1.0)
    of = result.isel(subset=result["size"].values == size)
    plural = "s" if size > 1 else ""
    series = [
        Series(
            str(layer),
            of["cka"].values[k],
            of["distance"].values,
            of["cka_se"].values[k],
            interval=interval(result.attrs),
            names=[f"head{plural} {each}" for each in of["heads"].values],
        )
        for k, layer in enumerate(of["layer"].values)
    ]
    names = labels(result.attrs)
    other = names[-1] if len(names) > 1 else "the other model"
    whose = f"{names[0]} {result.attrs.get('layer_a', '')}".strip()
    return Lines(
        f"{size} head{plural} of {whose}",
        _axis("mean attention distance (pixels)", result["distance"].values),
        _axis("CKA (unbiased)", np.stack([result["cka"] - band, result["cka"] + band])),
        series,
        ordered=True,
        caption=f"CKA with early layers of {other} of what {size} head{plural} "
        f"give{'' if size > 1 else 's'}: local ones on the left, global ones on the right.",
    )


def _axis(title: str, values: np.ndarray) -> Axis:
    known = values[np.isfinite(values)]
    if not known.size:
        return Axis(title)
    room = 0.06 * float(np.ptp(known))
    return Axis(title, low=float(known.min()) - room, high=float(known.max()) + room)
