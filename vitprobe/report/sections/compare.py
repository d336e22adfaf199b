"""Many models: a map of their similarities, all pairs, and the best match of every layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr

from vitprobe.errors import InputError
from vitprobe.figures.compare import PAIR, SHADES
from vitprobe.report.kinds import Kind, Map, Sheet, Side, Table
from vitprobe.report.layers import interval
from vitprobe.report.provenance import heading

CAPTION = (
    "Similarity: CKA of every layer with its best match in the other model, the mean over layers "
    "and over both directions. Models stand in the order of the dendrogram."
)


def figures(results: Sequence[xr.Dataset]) -> list[Kind]:
    """Of each result the matrix, a table of pairs and one of best matches."""
    return [each for result in results for each in _of_one(result)]


def _of_one(result: xr.Dataset) -> list[Kind]:
    if "similarity" not in result or set(result["similarity"].dims) != set(PAIR):
        raise InputError("cannot show this result: it has no 'similarity' over model and model2")
    of = heading(result)
    found: list[Kind] = [_matrix(result), _pairs(result, of)]
    return [*found, _matches(result, of)] if "match" in result else found


def _matrix(result: xr.Dataset) -> Map:
    order = np.argsort(result["order"].values.astype(int))
    names = [str(result["model"].values[k]) for k in order]
    blank = [str(result["blank"].values[k]) for k in order]
    side = Side("models", names, [""] * len(names), [False] * len(names))

    def array(name: str) -> np.ndarray:
        return result[name].transpose(*PAIR).values.astype(float)[np.ix_(order, order)]

    def where_there(name: str) -> np.ndarray | None:
        return array(name) if name in result else None

    values, times = array("similarity"), interval(result.attrs)
    others = values[~np.identity(len(values), dtype=np.bool_)]
    lowest = np.min(others, initial=1.0, where=np.isfinite(others))
    low = float(np.floor(SHADES * lowest) / SHADES) if lowest < 1 else 0.0
    sheets = [
        Sheet(
            "similarity",
            values,
            where_there("similarity_se"),
            where_there("null_line"),
            where_there("p_value"),
            (low, 1.0),
            interval=times,
            blank=(blank, blank),
        )
    ]
    if "calibrated" in result:
        above = array("calibrated")
        sheets.append(Sheet("similarity above chance", above, blank=(blank, blank)))
    if "matched" in result:
        sheets.append(
            Sheet(
                "layers of the row in the column",
                array("matched"),
                where_there("matched_se"),
                limits=(low, 1.0),
                interval=times,
                blank=(blank, blank),
            )
        )
    return Map(f"How alike {len(names)} models are", side, side, sheets, caption=CAPTION)


def _pairs(result: xr.Dataset, of: str) -> Table:
    names = [str(name) for name in result["model"].values]
    columns = {
        "similarity": "similarity",
        "similarity_se": "standard error",
        "null_mean": "mean of chance",
        "null_line": "chance exceeds in 5 %",
        "p_value": "p",
        "calibrated": "above chance",
    }
    kept = {key: title for key, title in columns.items() if key in result}
    arrays = {key: result[key].transpose(*PAIR).values for key in kept}
    alike = np.nan_to_num(arrays["similarity"], nan=-np.inf)
    places = sorted(combinations(range(len(names)), 2), key=lambda pair: -alike[pair])
    rows: list[list[str | float]] = [
        [names[i], names[j], *(float(arrays[key][i, j]) for key in kept)] for i, j in places
    ]
    return Table(f"Pairs, {of}", ["model", "and", *kept.values()], rows)


def _matches(result: xr.Dataset, of: str) -> Table:
    """Of each layer its best match in every other model, and how many cannot be told from it."""
    models = [str(name) for name in result["model"].values]
    of_site = result["site_model"].values.astype(str)
    best, error = (result[key].transpose("site", "model2").values for key in ("best", "best_se"))
    match, alike = result["match"].transpose("site", "model2").values, result["alike"].values
    rows: list[list[str | float]] = [
        [
            own,
            str(result["site_layer"].values[site]),
            other,
            str(match[site, k]),
            float(best[site, k]),
            float(error[site, k]),
            int(alike[site, of_site == other].sum()),
        ]
        for own in models
        for k, other in enumerate(models)
        for site in np.flatnonzero(of_site == own)
        if other != own
    ]
    columns = ["model", "layer", "other model", "best match", "CKA", "standard error", "as good"]
    words = "As good: layers of the other model that cannot be told from the best match."
    return Table(f"Best matches, {of}", columns, rows, words)
