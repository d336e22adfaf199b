"""Of each token, which patches of the image it is like: a grid of maps to choose from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.figures.localization import NOT_ASKED, check, evenly, facts, highest, numbers
from vitprobe.report.kinds import Dim, Mark, Stack
from vitprobe.report.provenance import heading

MOST = 16  # tokens along a side; of more, as many that lie evenly


def figures(results: Sequence[xr.Dataset]) -> list[Stack]:
    """A stack for each result: a map for each token, and for the class token."""
    return [_maps(result) for result in results]


def _maps(result: xr.Dataset) -> Stack:
    check(result)
    result = result.transpose("token_row", "token_col", "row", "col", ...)
    asked = result["blank_token"].values != NOT_ASKED
    down, across = (evenly(count, MOST) for count in asked.shape)
    places = [(i, j) for i in down for j in across if asked[i, j]]
    rows, columns = result["token_row"].values, result["token_col"].values
    at = tuple(np.transpose(places))
    values, error = result["cka"].values[at], result["cka_se"].values[at]
    own = [(int(rows[i]), int(columns[j])) for i, j in places]
    names = [f"row {row}, column {column}" for row, column in own]
    blank = result["blank_token"].values[at]
    said = [_said(one, str(why)) for one, why in zip(values, blank, strict=True)]
    marks = [[Mark(row + 0.5, column + 0.5, 1, 1)] for row, column in own]
    if "cka_cls" in result:
        values = np.concatenate([values, result["cka_cls"].values[None]])
        error = np.concatenate([error, result["cka_cls_se"].values[None]])
        names.append("class token")
        said.append(_said(values[-1], str(result["blank_cls"].values)))
        marks.append([])
    whole = len(places) == len(down) * len(across)
    start = len(down) // 2 * len(across) + len(across) // 2 if whole else 0
    count = int(asked.sum())
    thinned = f" {len(places)} of {count} tokens." if len(places) < count else ""
    return Stack(
        f"Tokens of {heading(result)}",
        [Dim("token", names, start=start, columns=len(across) if whole else 0)],
        values,
        error,
        unit="CKA",
        limits=(0.0, highest([result])),
        said=np.array(said, object),
        marks=marks,
        ratio=_ratio(result),
        caption=f"CKA of one token with the pixels of every patch; outlined: its own place. "
        f"{_sentence(numbers(result))} {_sentence(facts(result))}{thinned}",
    )


def _said(values: np.ndarray, blank: str) -> str:
    """The most similar patch, or why there is none."""
    if blank or not np.isfinite(values).any():
        return blank or "no value"
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    return f"most similar patch: row {row}, column {column} (CKA {values[row, column]:.3f})"


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _ratio(result: xr.Dataset) -> float:
    """Height over width of the patches together."""
    height, width = (
        result.sizes[axis] * float(result.attrs.get(f"patch_{name}", 1))
        for axis, name in (("row", "height"), ("col", "width"))
    )
    return height / width
