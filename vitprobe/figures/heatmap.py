"""A heatmap of layers against layers, with a colour bar, legible labels and marked blanks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.legend_handler import HandlerTuple
from matplotlib.patches import Patch

from vitprobe.figures.dots import draw_dots, legend_entry
from vitprobe.figures.labels import TickLabels, shorten_names, tick_labels
from vitprobe.figures.style import (
    PLAIN,
    POINTS,
    add_axes,
    add_line,
    fit_canvas,
    new_figure,
    text_measure,
    wrap,
)

LONG_SIDE = (3.2, 8.0)  # inches: the map's longer side, least and most
CELL = (0.125, 0.6)  # inches: a cell's side, wanted and most
SHORT_SIDE = 0.4  # inches, least
BAR_WIDTH, BAR_HEIGHT, BAR_GAP = 0.16, 1.4, 0.16  # inches; the height is the least
TITLE_WIDTH = 3.6  # inches, least, of the lines above the map
NAME_LENGTH = 3.0  # inches, least, that a side's title may take
SMALL = 1e-3  # limits of a colour bar
BLANK = {"facecolor": "0.9", "edgecolor": "0.5", "hatch": "//////", "linewidth": 0.0}


@dataclass(frozen=True)
class Layers:
    """One side of the map: its title, the layers' names in order, the block of each ("": none)."""

    title: str
    names: Sequence[str]
    blocks: Sequence[str]


def heatmap(
    values: np.ndarray,  # (rows, columns), NaN: blank
    rows: Layers,
    columns: Layers,
    *,
    limits: tuple[float, float],  # of the colours
    bar_title: str,
    title: Sequence[str],  # its parts; a line is broken between them
    details: Sequence[str],  # the same, below the title
    blank: str,  # what a blank means
    colours: str = "magma",
    dotted: np.ndarray | None = None,  # (rows, columns) bool: cells that are no more than chance
) -> Figure:
    """Rows upwards from the first, columns to the right; values beyond a limit have its colour.

    The map's size follows the number of layers, within bounds. Cells are square; those of a lean
    map are stretched, up to 2 : 1 (more only where a side would be under 0.4 inches).
    """
    figure = new_figure()
    measure = text_measure(figure)
    width, height = map_size(*values.shape)
    axes = add_axes(figure, 0, 0, width, height)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
    image = draw_map(axes, values, limits, colours)

    across = tick_labels(columns.names, columns.blocks, width * POINTS, measure, along_x=True)
    up = tick_labels(rows.names, rows.blocks, height * POINTS, measure, along_x=False)
    size = min(across.size, up.size)
    set_ticks(axes.xaxis, across, size)
    set_ticks(axes.yaxis, up, size)
    text = {"fontsize": 9, "labelpad": 5, **PLAIN}
    room = max(min(width, height), NAME_LENGTH) * POINTS
    titles = shorten_names([columns.title, rows.title], room, 9, measure)
    axes.set_xlabel(titles[0], **text)
    axes.set_ylabel(titles[1], **text)

    tall = max(height, BAR_HEIGHT)
    bar = add_axes(figure, width + BAR_GAP, height - tall, BAR_WIDTH, tall)
    add_bar(bar, image, values, bar_title)
    above = 5.0  # pt, from the map's upper edge
    hatched = not np.isfinite(values).all()
    if hatched:
        axes.patch.set(**BLANK)
    some = dotted is not None and dotted.any()
    if some:
        draw_dots(axes, image, dotted)
    if hatched or some:
        above += add_legend(axes, blank if hatched else "", some)
    longest = max(width + BAR_GAP + BAR_WIDTH, TITLE_WIDTH) * POINTS
    for parts, style in (
        (details, {"fontsize": 7.5, "color": "0.3"}),
        (title, {"fontsize": 10.5, "color": "black"}),
    ):
        for line in reversed(wrap(parts, longest, style["fontsize"], measure)):
            above = add_line(axes, line, above, style)
    fit_canvas(figure)
    return figure


def map_size(rows: int, columns: int) -> tuple[float, float]:
    """Width and height of the map in inches."""
    longest = max(rows, columns)
    long_side = min(max(longest * CELL[0], LONG_SIDE[0]), LONG_SIDE[1])
    cell = min(long_side / longest, CELL[1])

    def side(count: int) -> float:
        # a lean map is widened, up to half of its length and to cells of 2 : 1
        return max(count * cell, min(2 * count * cell, longest * cell / 2), SHORT_SIDE)

    return side(columns), side(rows)


def draw_map(
    axes: Axes,
    values: np.ndarray,
    limits: tuple[float, float] = (0.0, 1.0),
    colours: str = "magma",
) -> AxesImage:
    """Values (rows, columns) as cells that fill the axes, the first row at the bottom."""
    return axes.imshow(
        np.ma.masked_invalid(values),
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )


def set_ticks(axis: Axis, labels: TickLabels, size: float) -> None:
    """Write the labels at the axis, and marks where blocks begin and end."""
    axis.set_ticks(labels.positions, labels.texts, fontsize=size, rotation=labels.rotation, **PLAIN)
    axis.set_ticks(labels.limits, minor=True)
    axis.set_tick_params(which="minor", length=6, width=0.5)
    axis.set_tick_params(which="major", length=2, width=0.5, pad=6 if labels.limits else 3)


def add_bar(bar_axes: Axes, image: AxesImage, values: np.ndarray, title: str) -> None:
    """The colour bar, in axes of its own; arrows where values lie beyond its limits."""
    low, high = image.get_clim()
    below, over = (values < low).any(), (values > high).any()
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
    bar = bar_axes.figure.colorbar(image, cax=bar_axes, extend=extend[int(below), int(over)])
    if max(abs(low), abs(high)) < SMALL:  # powers of ten at each tick, none above the bar
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    bar.outline.set_linewidth(0.6)
    bar_axes.tick_params(labelsize=7.5, length=2.5, width=0.5)
    bar.set_label(title, fontsize=9, **PLAIN)


def add_legend(axes: Axes, blank: str, dotted: bool = False) -> float:
    """Say above the map what is hatched ("": nothing is) and what is dotted; returns the pt
    taken."""
    entries = [(Patch(**BLANK), blank)] if blank else []
    entries += [legend_entry()] if dotted else []
    handles, labels = zip(*entries, strict=True)
    axes.legend(
        handles,
        labels,
        handler_map={tuple: HandlerTuple(ndivide=1)},
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.4,
        borderpad=0,
        frameon=False,
        fontsize=7.5,
    )
    return 12 * len(entries)
