"""More models than fit at once: which of them share a pass, and what comes of all passes."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr

from vitprobe.analyses.compare_results import compare_results
from vitprobe.errors import InputError, option
from vitprobe.passes.provenance import strings

_OF_SITE = ("site_model", "site_layer", "site_block", "site_features", "site_blank")


def parts_of(count: int, at_once: int | None) -> list[list[int]]:
    """Which of `count` models are in each pass, at most `at_once` of them: every pair is in one.

    The models are cut into parts of half as many; each pass is of two parts.

    Raises:
        InputError: fewer than two at once.
    """
    if at_once is not None and at_once < 2:
        raise InputError(f"{option('at_once')} takes 2 models or more, not {at_once}")
    if at_once is None or count <= at_once:
        return [list(range(count))]
    half = at_once // 2
    cut = [list(range(k, min(k + half, count))) for k in range(0, count, half)]
    return [[*one, *two] for one, two in combinations(cut, 2)]


def smaller(count: int, at_once: int | None) -> int | None:
    """The next smaller number of models at once; None: there is none."""
    now = min(count, at_once or count)
    if now <= 2:
        return None
    parts = -(-count // max(now // 2, 1)) + 1 if now < count else 3
    return max(2, min(now - 1, 2 * -(-count // parts)))


def assembled(parts: Sequence[xr.Dataset], labels: Sequence[str]) -> xr.Dataset:
    """One result of those of several passes, models in this order, with their layers."""
    result = compare_results(parts, [f"pass {k}" for k in range(1, len(parts) + 1)])
    result.attrs["notes"] = "\n".join(
        filter(None, [str(result.attrs["notes"]), passes_note(len(labels), parts)])
    )
    return _with_sites(result, parts)


def passes_note(count: int, parts: Sequence[xr.Dataset]) -> str:
    most = max(part.sizes["model"] for part in parts)
    return (
        f"{count} models in {len(parts)} passes over the images, up to {most} at once; seconds are "
        "of all passes"
    )


def _with_sites(result: xr.Dataset, parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """The layers of all models, with their best matches in each."""
    labels = [str(label) for label in result["model"].values]
    columns: dict[str, list] = {name: [] for name in _OF_SITE}
    begin: dict[str, int] = {}
    for label in labels:
        part = next(each for each in parts if label in each["model"].values)
        own = np.flatnonzero(part["site_model"].values == label)
        begin[label] = len(columns["site_model"])
        for name, column in columns.items():
            column += part[name].values[own].tolist()
    total, count = len(columns["site_model"]), len(labels)
    best, error = np.full((2, total, count), np.nan)
    match = np.full((total, count), "", object)
    alike = np.zeros((total, total), bool)
    for part in parts:
        models = [str(label) for label in part["model"].values]
        rows = np.concatenate(
            [
                begin[label] + np.arange((part["site_model"].values == label).sum())
                for label in models
            ]
        )
        grid = np.ix_(rows, [labels.index(label) for label in models])
        best[grid], error[grid] = part["best"].values, part["best_se"].values
        match[grid], alike[np.ix_(rows, rows)] = part["match"].values, part["alike"].values
    dims = ("site", "model2")
    first = parts[0]
    variables = {
        "best": (dims, best, first["best"].attrs),
        "best_se": (dims, error, first["best_se"].attrs),
        "match": (dims, match),
        "alike": (("site", "site2"), alike),
    }
    coordinates = {
        name: ("site", np.array(column, np.int64) if name == "site_features" else strings(column))
        for name, column in columns.items()
    }
    left: dict[tuple[str, ...], None] = {}
    names = ("left_out_model", "left_out_layer", "left_out_reason")
    for part in parts:
        left |= dict.fromkeys(zip(*(map(str, part[name].values) for name in names), strict=True))
    for k, name in enumerate(names):
        coordinates[name] = ("left_out", strings([row[k] for row in left]))
    return result.assign(variables).assign_coords(coordinates)
