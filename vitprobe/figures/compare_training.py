"""Accuracy after training: a dot plot of models, or lines against the size of the training set."""

from dataclasses import dataclass

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from vitprobe.errors import InputError
from vitprobe.figures.labels import shorten_names
from vitprobe.figures.style import (
    PLAIN,
    POINTS,
    Measure,
    add_axes,
    fit_canvas,
    new_figure,
    side_legend,
    text_measure,
)
from vitprobe.figures.tiles import heading

DIMS = ("model", "pretraining", "fraction", "seed")
ROW, BETWEEN = 0.24, 0.12  # inches: a dot and its range; between two models
WIDTH = 3.6  # inches, of a dot plot
PANEL, GAP, COLUMNS = (2.7, 2.3), (0.3, 0.85), 3  # of lines: inches
LONGEST = 150.0  # pt of a label
MARKERS = "os^Dv<>P"
CHANCE = {"color": "0.55", "linewidth": 0.8, "linestyle": (0, (4, 2)), "zorder": 0}


@dataclass(frozen=True)
class _Look:
    """What stands for one model, or one pre-training set."""

    label: str
    style: dict


def figure(dataset: xarray.Dataset, *, title: str | None = None) -> Figure:
    """A result of `vitprobe.compare_training`: means over seeds, bars from lowest to highest.

    One fraction: a row for each model and pre-training set, with its numbers. Several: accuracy
    against the fraction, a line for each model, a panel for each pre-training set. title: instead
    of the study's.

    Raises:
        InputError: the result holds no `accuracy` over model, pretraining, fraction and seed.
    """
    if "accuracy" not in dataset or set(dataset["accuracy"].dims) != set(DIMS):
        raise InputError(f"cannot plot this result: it has no 'accuracy' over {', '.join(DIMS)}")
    values = dataset["accuracy"].transpose(*DIMS).values
    drawn = new_figure()
    draw = _dots if dataset.sizes["fraction"] == 1 else _lines
    top, width = draw(drawn, dataset, values)
    said, details = _texts(dataset, values)
    said = said if title is None else [title]
    heading(drawn, top + 0.1, width, said, details, text_measure(drawn))
    fit_canvas(drawn)
    return drawn


def _dots(drawn: Figure, dataset: xarray.Dataset, values: np.ndarray) -> tuple[float, float]:
    """Rows of models, top down; in each a dot for each pre-training set."""
    models, sets, measure = values.shape[0], values.shape[1], text_measure(drawn)
    labels, looks = _labels(dataset, "model", measure), _looks(dataset, "pretraining", measure, 0)
    block = sets * ROW + BETWEEN
    height = models * block
    axes = add_axes(drawn, 0, -height, WIDTH, height)
    numbers = 0.0  # pt, the widest text beside the dots
    for i, j in np.ndindex(models, sets):
        y = i * block + BETWEEN / 2 + (j + 0.5) * ROW
        middle, low, high = _spread(values[i, j, 0])
        text = _numbers(middle, low, high)
        if np.isfinite(middle):
            _errorbar(axes, "xerr", middle, y, middle, low, high, looks[j])
        axes.annotate(
            text,
            xy=(1, y),
            xycoords=axes.get_yaxis_transform(),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color="0.2" if np.isfinite(middle) else "0.5",
            annotation_clip=False,
            **PLAIN,
        )
        numbers = max(numbers, measure(text, 7)[0])
    for edge in range(1, models):
        axes.axhline(edge * block, color="0.9", linewidth=0.6, zorder=0)
    axes.set_ylim(height, 0)
    axes.set_yticks([(i + 0.5) * block for i in range(models)], labels, **PLAIN)
    axes.tick_params(axis="y", length=0, labelsize=8)
    _finish(axes, "x", values, dataset)
    axes.set_xlabel("test accuracy", fontsize=8)
    right = WIDTH + (6 + numbers) / POINTS
    if sets > 1:
        _legend(drawn, right + 0.2, looks, "pre-training")
    return 0, right


def _lines(drawn: Figure, dataset: xarray.Dataset, values: np.ndarray) -> tuple[float, float]:
    """Panels of pre-training sets; in each a line for each model."""
    models, sets, measure = values.shape[0], values.shape[1], text_measure(drawn)
    looks, titles = _looks(dataset, "model", measure, 1.1), _labels(dataset, "pretraining", measure)
    fractions = dataset["fraction"].values
    order = np.argsort(fractions)
    for j in range(sets):
        row, column = divmod(j, COLUMNS)
        left, bottom = column * (PANEL[0] + GAP[0]), -(row + 1) * PANEL[1] - row * GAP[1]
        axes = add_axes(drawn, left, bottom, *PANEL)
        for i in range(models):
            spreads = np.array([_spread(values[i, j, k]) for k in order])
            _errorbar(axes, "yerr", fractions[order], spreads[:, 0], *spreads.T, looks[i])
        if sets > 1:
            axes.set_title(f"pre-training: {titles[j]}", fontsize=8.5, pad=4, **PLAIN)
        _fraction_axis(axes, fractions[order], measure)
        _finish(axes, "y", values, dataset)
        axes.tick_params(axis="y", labelleft=column == 0)
        if column == 0:
            axes.set_ylabel("test accuracy", fontsize=8)
    used = min(sets, COLUMNS)
    width = used * (PANEL[0] + GAP[0]) - GAP[0]
    _legend(drawn, width + 0.15, looks, "model")
    return 0.2 if sets > 1 else 0, width


def _fraction_axis(axes: Axes, fractions: np.ndarray, measure: Measure) -> None:
    """A log axis with a tick at every fraction, labelled where the labels don't touch."""
    low, high = fractions[0] / 1.25, fractions[-1] * 1.25
    labels, free = [], np.inf  # pt: where the label to the right begins
    for fraction in fractions[::-1]:
        text = f"{100 * fraction:g} %"
        middle = np.log(fraction / low) / np.log(high / low) * PANEL[0] * POINTS
        half = measure(text, 7)[0] / 2
        fits = middle + half + 3 <= free
        labels.append(text if fits else "")
        free = middle - half if fits else free
    axes.set_xscale("log")
    axes.set_xticks(fractions, labels[::-1])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(low, high)
    axes.set_xlabel("of the training set", fontsize=8)


def _errorbar(axes: Axes, bars: str, x, y, middle, low, high, look: _Look) -> None:
    """Dots at the means; a bar only where seeds differ."""
    reach = np.atleast_2d(np.array([middle - low, high - middle]).T).T
    several = np.nanmax(reach, initial=0) > 0
    axes.errorbar(
        x,
        y,
        **({bars: np.nan_to_num(reach)} if several else {}),
        **look.style,
        elinewidth=1.1,
        capsize=2,
    )


def _finish(axes: Axes, side: str, values: np.ndarray, dataset: xarray.Dataset) -> None:
    """The axis of accuracies, the same in every panel, and the line of chance."""
    classes = int(dataset.attrs.get("num_classes", 0))
    known = values[np.isfinite(values)].tolist()
    chance = [1 / classes] if classes > 1 else []
    low, high = (min(known + chance), max(known + chance)) if known else (0.0, 1.0)
    margin = max(0.06 * (high - low), 0.02)
    limits = max(low - margin, -0.02), min(high + margin, 1.02)
    axis = axes.xaxis if side == "x" else axes.yaxis
    (axes.set_xlim if side == "x" else axes.set_ylim)(limits)
    axis.set_major_formatter(lambda share, place: f"{100 * share:g} %")
    axis.grid(linewidth=0.3, color="0.85")
    axes.tick_params(axis="both", labelsize=7)
    axes.set_axisbelow(True)
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    if classes > 1:
        line = axes.axvline if side == "x" else axes.axhline
        line(1 / classes, **CHANCE)


def _legend(drawn: Figure, left: float, looks: list[_Look], title: str) -> None:
    """The looks by their labels, in axes of their own: `left` inches, from the panels' top."""
    axes = add_axes(drawn, left, -0.01, 0.01, 0.01)
    axes.set_axis_off()
    for look in looks:
        axes.plot([], [], **look.style, label=look.label)
    side_legend(axes, title)


def _labels(dataset: xarray.Dataset, dim: str, measure: Measure) -> list[str]:
    return shorten_names([str(name) for name in dataset[dim].values], LONGEST, 8, measure)


def _looks(dataset: xarray.Dataset, dim: str, measure: Measure, linewidth: float) -> list[_Look]:
    labels = _labels(dataset, dim, measure)
    if len(labels) <= 10:
        colours = matplotlib.colormaps["tab10"](range(len(labels)))
    else:
        colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(labels)))
    return [
        _Look(
            label,
            {
                "color": tuple(colours[k]),
                "marker": MARKERS[k % len(MARKERS)],
                "markersize": 4.5,
                "linewidth": linewidth,
            },
        )
        for k, label in enumerate(labels)
    ]


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, lowest and highest of the seeds that have a value; NaN where none has."""
    known = values[np.isfinite(values)]
    return (known.mean(), known.min(), known.max()) if len(known) else (np.nan,) * 3


def _numbers(middle: float, low: float, high: float) -> str:
    if not np.isfinite(middle):
        return "blank"
    if low == high:
        return f"{100 * middle:.1f}"
    return f"{100 * middle:.1f}  ({100 * low:.1f} to {100 * high:.1f})"


def _texts(dataset: xarray.Dataset, values: np.ndarray) -> tuple[list[str], list[str]]:
    attrs = dataset.attrs
    details = [f"target {attrs.get('dataset', '')}"]
    fractions, sets = dataset["fraction"].values, dataset["pretraining"].values
    if len(fractions) == 1 and fractions[0] != 1:
        details.append(f"{100 * fractions[0]:g} % of the training set")
    if len(sets) == 1 and sets[0] != "none":
        details.append(f"pre-training: {sets[0]}")
    seeds = values.shape[-1]
    details.append(f"mean and range of {seeds} seeds" if seeds > 1 else "one seed")
    if (classes := int(attrs.get("num_classes", 0))) > 1:
        details.append(f"dashed: chance, {100 / classes:.3g} %")
    if blanks := int(np.isnan(values).sum()):
        details.append(f"{blanks} of {values.size} runs blank")
    return [str(attrs.get("title", "accuracy after training"))], details
