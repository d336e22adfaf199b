"""Maps of several models' tokens beside each other, in one scale."""

import math
from collections.abc import Sequence

import xarray
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.facts import data_of
from vitprobe.figures.labels import shorten_names
from vitprobe.figures.localization import (
    LEGEND,
    Tiles,
    add_bar,
    add_blank,
    check,
    facts,
    has_blanks,
    highest,
    numbers,
)
from vitprobe.figures.style import (
    POINTS,
    add_axes,
    add_line,
    fit_canvas,
    new_figure,
    text_measure,
    wrap,
)
from vitprobe.figures.tiles import heading
from vitprobe.figures.weights import weights_facts

COLUMNS = 3  # at most
SIDES = {1: 2.6, 2: 2.6, 3: 1.8}  # inches of one model's tiles, of so many columns
MOST = 5  # tokens along a side
BESIDE, BELOW = 0.32, 0.2  # inches between models
ABOVE = 24.0  # pt over the tiles: the numbers of their columns
FACT = {"fontsize": 7, "color": "0.3"}
NAME = {"fontsize": 9, "fontweight": "bold"}


def compare(datasets: Sequence[xarray.Dataset], *, title: str | None = None) -> Figure:
    """Results of several models: some evenly spread tokens of each, all in one scale.

    title: instead of what was done.

    Raises:
        InputError: one of them is no result of `vitprobe.localization`, or there is none.
    """
    if not datasets:
        raise InputError("no result to compare: pass two or more results of vitprobe.localization")
    for dataset in datasets:
        check(dataset)
    drawn = new_figure()
    measure, top = text_measure(drawn), highest(datasets)
    columns = math.ceil(len(datasets) / math.ceil(len(datasets) / COLUMNS))
    side = SIDES[columns]
    panels = [Tiles.of(dataset, side, MOST) for dataset in datasets]
    lines = [
        wrap([*numbers(each), *facts(each), *panel.shown, *weights_facts(each.attrs, ["model"])],
            side * POINTS, FACT["fontsize"], measure)
        for each, panel in zip(datasets, panels, strict=True)
    ]  # fmt: skip
    labels = [str(dataset.attrs.get("model", "model")) for dataset in datasets]
    # bold is wider than it is measured
    names = shorten_names(labels, 0.85 * side * POINTS, NAME["fontsize"], measure)
    text = 1.45 * (max(map(len, lines)) * FACT["fontsize"] + NAME["fontsize"])
    head = (ABOVE + text) / POINTS  # inches over the tiles
    hang = 0.0
    for first in range(0, len(datasets), columns):
        row = range(first, min(first + columns, len(datasets)))
        for place in row:
            left = (place - first) * (side + BESIDE)
            image = panels[place].draw(drawn, left, hang, top, named=place == first)
            axes = add_axes(drawn, left, hang, side, 0.001)
            axes.set_axis_off()
            above = ABOVE + 1.45 * FACT["fontsize"] * (max(map(len, lines)) - len(lines[place]))
            for line in reversed(lines[place]):
                above = add_line(axes, line, above, FACT)
            add_line(axes, names[place], above, NAME)
        hang -= max(panels[place].height for place in row) + BELOW + head
    width = columns * (side + BESIDE) - BESIDE
    length = min(2.0, panels[0].height)
    add_bar(drawn, image, width + 0.15, 0, length)
    if has_blanks(datasets):
        add_blank(drawn, width + 0.15, -length - 0.12)
    said = ["Tokens and patches", *data_of(datasets, " / ")]
    heading(drawn, head + 0.1, width, said if title is None else [title], LEGEND, measure)
    fit_canvas(drawn)
    return drawn
