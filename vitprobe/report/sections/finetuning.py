"""What fine-tuning changes: every block against itself in the first checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.errors import InputError
from vitprobe.figures.finetuning import ATTENTION, DIMS
from vitprobe.report.kinds import Axis, Lines, Series
from vitprobe.report.layers import cka_axis, interval, layer_axis, no_value

FEW = 4  # checkpoints: of more the colours are steps of one scale


def figures(results: Sequence[xr.Dataset]) -> list[Lines]:
    """CKA with the first checkpoint and, where there is one, attention distance."""
    return [each for result in results for each in _of_one(result)]


def _of_one(result: xr.Dataset) -> list[Lines]:
    if "cka" not in result or result["cka"].dims != DIMS or not result["cka"].size:
        raise InputError("cannot show this result: it has no 'cka' over checkpoint and layer")
    names = [str(name) for name in result["checkpoint"].values]
    ordered, others = len(names) > FEW, range(len(names) > 1, len(names))
    cka = Lines(
        f"CKA with {names[0]}",
        _axis(result, "layer"),
        cka_axis(result["cka"].values),
        [_line(result, "cka", "layer", k, interval(result.attrs)) for k in others],
        ordered=ordered,
        caption=_blanks(result, "layer", "blank"),
    )
    if "distance" not in result or result["distance"].dims != ATTENTION:
        return [cka]
    distance = Lines(
        "Attention distance, mean of the heads",
        _axis(result, "attention_layer"),
        Axis("mean attention distance", low=0.0, unit="px"),
        [_line(result, "distance", "attention_layer", k, np.nan) for k in range(len(names))],
        ordered=ordered,
        caption=_blanks(result, "attention_layer", "attention_blank"),
    )
    return [cka, distance]


def _axis(result: xr.Dataset, dim: str) -> Axis:
    return layer_axis([str(name) for name in result[dim].values])


def _line(result: xr.Dataset, name: str, dim: str, place: int, times: float) -> Series:
    return Series(
        str(result["checkpoint"].values[place]),
        result[name].values[place],
        error=result[f"{name}_se"].values[place],
        interval=times,
        names=[str(each) for each in result[dim].values],
        colour=place,
        dashed=place == 0,
    )


def _blanks(result: xr.Dataset, dim: str, blank: str) -> str:
    if blank not in result.coords:
        return ""
    reasons = result[blank].values.astype(str)  # (checkpoint, layer)
    first = [next(filter(None, column), "") for column in reasons.T]
    return no_value([str(name) for name in result[dim].values], first)
