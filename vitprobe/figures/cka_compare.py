"""All pairs of some models in one grid of CKA maps, small enough for a page of a paper."""

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprobe.errors import InputError, option
from vitprobe.figures.cka_sides import bar_title, layers_of, values_of
from vitprobe.figures.facts import data_of, method_of
from vitprobe.figures.heatmap import BLANK, Layers, add_bar, add_legend, draw_map, set_ticks
from vitprobe.figures.labels import TickLabels, shorten, shorten_names, tick_labels
from vitprobe.figures.relabelled import view_of
from vitprobe.figures.style import (
    PLAIN,
    POINTS,
    Measure,
    add_axes,
    add_line,
    fit_canvas,
    new_figure,
    text_measure,
    wrap,
)

PAGE = 5.6  # inches, of all maps beside each other
SIDE = (0.9, 2.4)  # inches: a map's side, least and most
GAP = 0.09  # inches
SIZE = 7.0  # pt, of tick labels, at most
LONGEST = 66.0  # pt, of a layer's name
TICK = 12.0  # pt of a mark and of room for the model's name
BAR = (0.13, 0.3)  # inches: the colour bar's width, and its distance from the grid's left part
TITLE_WIDTH = 3.6  # inches, least

Pairs = dict[tuple[int, int], np.ndarray]  # row > column or the same -> values


def compare(datasets: Sequence[xarray.Dataset], *, title: str | None = None) -> Figure:
    """Results of `vitprobe.cka` as a lower triangle: rows and columns are the models.

    Models come in the order in which the results name them; a pair that no result is of is left
    empty. Maps of a row share the layers upwards, those of a column the layers to the right; all
    have one colour bar from 0 to 1. title: instead of what was done.

    Raises:
        InputError: a result without CKA, or two of one pair.
    """
    models, pairs = _grid(datasets)
    drawn = new_figure()
    measure = text_measure(drawn)
    count = len(models)
    side = min(max(PAGE / count - GAP, SIDE[0]), SIDE[1])
    step = side + GAP
    whole = count * step - GAP
    axes = {
        (row, column): add_axes(drawn, column * step, -(row + 1) * step, side, side)
        for row in range(count)
        for column in range(row + 1)
    }
    images = {place: draw_map(axes[place], pairs[place]) for place in axes if place in pairs}
    for place in axes:
        _frame(axes[place], place in pairs)
    _label(axes, models, side, measure)

    values = np.concatenate([each.ravel() for each in pairs.values()])
    corner = add_axes(drawn, (count - 1) * step + BAR[1], -step, BAR[0], side)
    add_bar(corner, next(iter(images.values())), values, bar_title(datasets))
    above = 5.0  # pt, over the first map
    blank = {place for place, each in pairs.items() if not np.isfinite(each).all()}
    for place in blank:
        axes[place].patch.set(**BLANK)
    if blank:
        above += add_legend(axes[0, 0], "no value (see blank_a / blank_b)")
    longest = max(whole, TITLE_WIDTH) * POINTS
    said = ["CKA of all pairs", *data_of(datasets, ", ")] if title is None else [title]
    for parts, style in (
        (method_of(datasets, ", "), {"fontsize": 7, "color": "0.3"}),
        (said, {"fontsize": 9.5, "color": "black"}),
    ):
        for line in reversed(wrap(parts, longest, style["fontsize"], measure)):
            text = shorten(line, longest, style["fontsize"], measure)
            above = add_line(axes[0, 0], text, above, style)
    fit_canvas(drawn)
    return drawn


def _grid(datasets: Sequence[xarray.Dataset]) -> tuple[list[Layers], Pairs]:
    """The models in order, and the values of each pair: the later model's layers are the rows."""
    models: dict[Hashable, Layers] = {}
    found: dict[tuple[Hashable, Hashable], np.ndarray] = {}
    for dataset in datasets:
        values = values_of(dataset)
        keys = [view_of(dataset, side) for side in "ab"]
        for side, key in zip("ab", keys, strict=True):
            models.setdefault(key, layers_of(dataset, side))
        if (keys[0], keys[1]) in found:
            names = " and ".join(models[key].title for key in keys)
            raise InputError(
                f"two results are of {names}: a figure of all pairs shows one of each; for two of "
                f"one pair there is {option('difference', True)}"
            )
        found[keys[1], keys[0]] = values.T
        found[keys[0], keys[1]] = values
    place = {key: k for k, key in enumerate(models)}
    pairs = {
        (place[a], place[b]): values for (a, b), values in found.items() if place[a] >= place[b]
    }
    return list(models.values()), pairs


def _frame(axes: Axes, filled: bool) -> None:
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)
        spine.set_color("black" if filled else "0.8")
    axes.set(xticks=[], yticks=[])
    if not filled:
        axes.text(
            0.5, 0.5, "no result", transform=axes.transAxes, ha="center", va="center",
            fontsize=7, color="0.5",
        )  # fmt: skip


def _label(
    axes: dict[tuple[int, int], Axes], models: list[Layers], side: float, measure: Measure
) -> None:
    """Layers and models, once for each row at its left and for each column below it."""
    last = len(models) - 1
    length = side * POINTS
    names = shorten_names([model.title for model in models], length, 8, measure)
    shown = [_shortened(model, measure) for model in models]
    ticks = {
        along_x: [
            tick_labels(each.names, each.blocks, length, measure, along_x=along_x) for each in shown
        ]
        for along_x in (False, True)
    }
    size = min(SIZE, *(labels.size for both in ticks.values() for labels in both))
    for along_x, all_labels in ticks.items():
        depth = max(_depth(each, size, measure, along_x) for each in all_labels) + TICK
        for k, (name, labels) in enumerate(zip(names, all_labels, strict=True)):
            edge = axes[last, k] if along_x else axes[k, 0]
            axis = edge.xaxis if along_x else edge.yaxis
            set_ticks(axis, labels, size)
            axis.set_label_text(name, fontsize=8, **PLAIN)
            axis.set_label_coords(*((0.5, -depth / length) if along_x else (-depth / length, 0.5)))
            (edge.set_xlim if along_x else edge.set_ylim)(-0.5, len(models[k].names) - 0.5)


def _shortened(model: Layers, measure: Measure) -> Layers:
    """The same with shorter names, distinct as far as that goes."""
    names = shorten_names(model.names, LONGEST, SIZE, measure)
    distinct = list(dict.fromkeys(model.blocks))
    short = dict(zip(distinct, shorten_names(distinct, LONGEST, SIZE, measure), strict=True))
    return replace(model, names=names, blocks=[short[block] for block in model.blocks])


def _depth(labels: TickLabels, size: float, measure: Measure, along_x: bool) -> float:
    """pt that these labels take away from the axis."""
    flat = along_x and not labels.rotation
    return max((measure(text, size)[1 if flat else 0] for text in labels.texts), default=0.0)
