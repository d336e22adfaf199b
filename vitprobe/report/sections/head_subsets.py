"""Subsets of heads, from local to global: how alike they are to early layers of another model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.errors import InputError
from vitprobe.report.kinds import Axis, Lines, Series
from vitprobe.report.provenance import labels
from vitprobe.report.sections.cka import half_interval


def figures(results: Sequence[xr.Dataset]) -> list[Lines]:
    """Of each result CKA against attention distance; the reader picks the size of subsets."""
    return [_lines(result) for result in results]


def _lines(result: xr.Dataset) -> Lines:
    if "cka" not in result or set(result["cka"].dims) != {"subset", "layer"}:
        raise InputError("cannot show this result: it has no 'cka' over subset and layer")
    result = result.sortby("distance").transpose("layer", "subset", ...)
    sizes = result["size"].values
    heads = np.array([str(each) for each in result["heads"].values], object)
    layers = [str(name) for name in result["layer"].values]
    series = []
    for size in sorted({int(each) for each in sizes}):
        of = sizes == size
        series += [
            Series(
                layer,
                result["cka"].values[k, of],
                result["distance"].values[of],
                result["cka_se"].values[k, of],
                half_interval(result.attrs),
                [f"heads {each}" if size > 1 else f"head {each}" for each in heads[of]],
                f"{size} head{'s' if size > 1 else ''}",
                k,
            )
            for k, layer in enumerate(layers)
        ]
    names = labels(result.attrs)
    other = names[-1] if len(names) > 1 else "the other model"
    return Lines(
        f"Heads of {names[0]} {result.attrs.get('layer_a', '')}, from local to global".strip(),
        Axis("mean attention distance (pixels)"),
        Axis("CKA (unbiased)"),
        series,
        picks="size of subsets",
        caption=f"CKA of the heads' output with early layers of {other}.",
    )
