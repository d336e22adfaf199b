"""Runs of a study: a table, accuracy against data or pre-training, and every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from vitprobe.analyses.compare_training import rows
from vitprobe.errors import InputError
from vitprobe.figures.compare_training import DIMS
from vitprobe.figures.study_groups import spread
from vitprobe.report.kinds import Axis, Kind, Level, Lines, Series, Table

CURVES = {
    "epoch_train_loss": ("Training loss", Axis("loss", unit="nats")),
    "epoch_val_accuracy": ("Accuracy, validation images", Axis("accuracy", unit="%")),
    "epoch_accuracy": ("Accuracy, test images", Axis("accuracy", unit="%")),
}


def figures(results: Sequence[xr.Dataset]) -> list[Kind]:
    """Of each study a table, the accuracies, and curves of the epochs."""
    return [each for result in results for each in _of_one(result)]


def _of_one(result: xr.Dataset) -> list[Kind]:
    if "accuracy" not in result or set(result["accuracy"].dims) != set(DIMS):
        raise InputError(f"cannot show this result: it has no 'accuracy' over {', '.join(DIMS)}")
    result = result.transpose(*DIMS, "epoch", missing_dims="ignore")
    title = str(result.attrs.get("title", "Training"))
    return [_table(result, title), _accuracy(result, title), *_curves(result, title)]


def _table(result: xr.Dataset, title: str) -> Table:
    columns = [
        *("model", "pre-training", "training set (%)", "mean accuracy (%)", "lowest (%)"),
        *("highest (%)", "seeds", "why there are no more"),
    ]
    found = []
    for row in rows(result):
        known = row["mean"] is not None
        spread_of = [100 * row[key] if known else np.nan for key in ("mean", "min", "max")]
        about = [row["model"], row["pretraining"], 100 * row["fraction"]]
        found.append([*about, *spread_of, row["seeds"], row["reason"]])
    return Table(f"{title}: test accuracy", columns, found)


def _accuracy(result: xr.Dataset, title: str) -> Lines:
    """Against the fraction where there are several, else a column for each pre-training set."""
    classes = int(result.attrs.get("num_classes", 0))
    levels = [Level("chance", 100 / classes)] if classes > 1 else []
    fractions = 100 * result["fraction"].values.astype(float)
    sets = [str(name) for name in result["pretraining"].values]
    several = len(fractions) > 1
    x = Axis("of the training set", log=True, unit="%") if several else Axis("pre-training", sets)
    mean, low, high = spread(np.moveaxis(100 * result["accuracy"].values, 3, 0))
    series, order = [], np.argsort(fractions)
    for colour, model in enumerate(result["model"].values.tolist()):
        for j, name in enumerate(sets if several else [""]):
            place = (colour, j, order) if several else (colour, slice(None), 0)
            series.append(
                Series(
                    f"{model}, {name}" if several and len(sets) > 1 else str(model),
                    mean[place],
                    fractions[order] if several else None,
                    colour=colour,
                    line=several,
                    dashed=j > 0,
                    **_band(result, low[place], high[place]),
                )
            )
    y = Axis("test accuracy", unit="%")
    return Lines(f"{title}: accuracy", x, y, series, levels, band=_words(result))


def _curves(result: xr.Dataset, title: str) -> list[Lines]:
    """Every model in its colour; what else differs is picked."""
    sets = [str(name) for name in result["pretraining"].values]
    fractions = [f"{100 * each:g} %" for each in result["fraction"].values]
    found = []
    for name, (words, y) in CURVES.items():
        if name not in result or not result.sizes.get("epoch"):
            continue
        scale = 100 if y.unit == "%" else 1
        mean, low, high = spread(np.moveaxis(scale * result[name].values, 3, 0))
        series = []
        for place in np.ndindex(mean.shape[:3]):
            if not np.isfinite(mean[place]).any():
                continue
            parts = [sets[place[1]] * (len(sets) > 1), fractions[place[2]] * (len(fractions) > 1)]
            series.append(
                Series(
                    str(result["model"].values[place[0]]),
                    mean[place],
                    result["epoch"].values.astype(float),
                    group=", ".join(filter(None, parts)),
                    colour=place[0],
                    **_band(result, low[place], high[place]),
                )
            )
        picks = _picked(len(sets), len(fractions))
        found.append(
            Lines(f"{words}, {title}", Axis("epoch"), y, series, picks=picks, band=_words(result))
        )
    return found


def _picked(sets: int, fractions: int) -> str:
    words = ["pre-training"] * (sets > 1) + ["training set"] * (fractions > 1)
    return ", ".join(words)


def _words(result: xr.Dataset) -> str:
    return f"lowest to highest of {result.sizes['seed']} seeds"


def _band(result: xr.Dataset, low: np.ndarray, high: np.ndarray) -> dict:
    return {"low": low, "high": high} if result.sizes["seed"] > 1 else {}
