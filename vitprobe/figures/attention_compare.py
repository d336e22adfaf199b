"""The attention of several models beside each other: a column for each, at most four in a line."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.attention import PANELS, check, facts, images_of, title_of, write_title
from vitprobe.figures.attention_panels import HIGH, LOW, Span, write_legend
from vitprobe.figures.attention_scale import UNITS, chosen_unit, in_unit
from vitprobe.figures.labels import shorten_names
from vitprobe.figures.style import (
    POINTS,
    add_axes,
    add_line,
    fit_canvas,
    new_figure,
    text_measure,
    wrap,
)
from vitprobe.figures.weights import weights_facts

COLUMNS = 4  # at most
WIDTH, HEIGHT, BESIDE = 2.2, 1.45, 0.22  # inches: a panel, and between two columns
BELOW = (0.72, 0.2)  # inches below the first row (its legend follows), and below the second
LEGEND, STEP = 15, 1.45  # pt, of a legend; a line's height in its font size (see add_line)
LEAST = 4.4  # inches, for the title
FACT = {"fontsize": 7, "color": "0.3"}
NAME = {"fontsize": 9, "fontweight": "bold"}
LAYERS = ("first layer", "second", "last but one", "last layer")
SHOWN = ("first layer shown", "second", "last but one", "last shown")  # of some, or beside blanks


def compare(
    datasets: Sequence[xarray.Dataset],
    normalize: str | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """Results of several models: a column for each; every row has one scale and one legend.

    normalize: the unit of distances: `pixels`, `uniform` (multiples of uniform attention's) or
        `diagonal` (of the image's). None: pixels where all images have one size, else diagonal.
    title: instead of what was done.

    Raises:
        InputError: one of them is no result of `vitprobe.attention`, there is none, or no such
            unit.
    """
    if not datasets:
        raise InputError("no result to compare: pass two or more results of vitprobe.attention")
    for dataset in datasets:
        check(dataset)
    unit = chosen_unit(datasets, normalize)
    datasets = [in_unit(dataset, unit) for dataset in datasets]
    drawn = new_figure()
    measure, span = text_measure(drawn), Span.of(datasets, UNITS[unit])
    lists = [facts(dataset) for dataset in datasets]
    # weights stay with their model: files of one name may be two
    alike = [fact for fact in lists[0] if all(fact in others for others in lists)]
    shared = [fact for fact in alike if fact not in weights_facts(datasets[0].attrs, ["model"])]
    images = [images_of(dataset) for dataset in datasets]
    own = [
        [fact for fact in seen if not all(fact in others for others in images)]
        + [fact for fact in each if fact not in shared]
        for seen, each in zip(images, lists, strict=True)
    ]
    lines = [wrap(each, WIDTH * POINTS, FACT["fontsize"], measure) if each else [] for each in own]
    most = max(map(len, lines))
    across = math.ceil(len(datasets) / math.ceil(len(datasets) / COLUMNS))
    labels = [str(dataset.attrs.get("model", "model")) for dataset in datasets]
    # bold is wider than it is measured
    names = shorten_names(labels, 0.85 * WIDTH * POINTS, NAME["fontsize"], measure)
    whole = (across * (WIDTH + BESIDE) - BESIDE) * POINTS  # pt, of a line of columns
    head = LEGEND + STEP * (most * FACT["fontsize"] + NAME["fontsize"])  # pt above the first row
    top = HEIGHT  # inches, of the line's first row
    rows: list[list[Axes]] = [[] for _ in PANELS]
    for place, dataset in enumerate(datasets):
        column = place % across
        if place and not column:  # below all that hangs from the line above
            lowest = min(axes.get_tightbbox().y0 for axes in rows[-1][-across:])
            top = lowest / drawn.dpi - (head + 10) / POINTS
        left, bottom = column * (WIDTH + BESIDE), top - HEIGHT
        for row, panel in enumerate(PANELS):
            axes = add_axes(drawn, left, bottom, WIDTH, HEIGHT)
            panel(axes, dataset, span.of_one(dataset), WIDTH, measure)
            if column:  # the first column's axis is everyone's
                axes.set_ylabel("")
                axes.tick_params(labelleft=False)
            rows[row].append(axes)
            bottom -= HEIGHT + (*BELOW, 0)[row]
        rows[1][-1].set_xticklabels([])  # those of the row below
        rows[1][-1].set_xlabel("")
        above = LEGEND + STEP * FACT["fontsize"] * (most - len(lines[place]))
        for text in reversed(lines[place]):
            above = add_line(rows[0][-1], text, above, FACT)
        add_line(rows[0][-1], names[place], above, NAME)
    words = dict(zip((*LOW, *HIGH), LAYERS if all(map(_whole, datasets)) else SHOWN, strict=True))
    for row, axes in enumerate(rows):
        _share_legend(axes, row, words, across)
    said = title_of(datasets) if title is None else [title]
    write_title(rows[0][0], said, shared, head + 6, max(whole, LEAST * POINTS), measure)
    fit_canvas(drawn)
    return drawn


def _whole(dataset: xarray.Dataset) -> bool:
    """Whether every layer of the model is in the result, and has values."""
    chosen = dataset.attrs.get("layers", "all") != "all"
    return not chosen and bool(np.isfinite(dataset["distance"].values).any(1).all())


def _share_legend(row: list[Axes], number: int, words: Mapping[str, str], across: int) -> None:
    """One legend for the row, of all that its panels show, in each line of `across` columns; the
    last row has the one above it.

    words: a layer's colour -> what it is called.
    """
    entries = {}
    for axes in row:
        legend = axes.get_legend()
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            text = text.get_text()
            if number == 0:  # each model has its own layers, whose colours mean the same
                text = words.get(handle.get_color(), text)
            entries.setdefault(text, handle)
        legend.remove()
    if number == 0:
        order = [*words.values(), "uniform attention"]
        entries = {text: entries[text] for text in order if text in entries}
    if number < 2:
        for axes in row[::across]:
            write_legend(axes, list(entries.values()), list(entries), len(entries))
