"""Probes of one model: accuracy along its layers or, of single tokens, maps of them."""

import math

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from vitprobe.figures.attention import legend_height, write_title
from vitprobe.figures.attention_panels import LEGEND
from vitprobe.figures.heatmap import BLANK, set_ticks
from vitprobe.figures.labels import shorten_names, tick_labels
from vitprobe.figures.probe_panels import (
    SMALL,
    TEXT,
    check,
    colours_of,
    curve,
    each_token,
    limits,
    method,
    references,
    spine,
)
from vitprobe.figures.style import POINTS, add_axes, fit_canvas, new_figure, text_measure
from vitprobe.figures.tiles import bare_axes, caption, heading
from vitprobe.figures.weights import weights_facts

WIDTH, HEIGHT = 5.6, 2.6  # inches
LONGEST = 80.0  # pt, of a name at the axis
TILE, SPECIAL, BETWEEN, ACROSS = 0.85, 0.13, 0.2, 6  # inches; maps in a row


def figure(dataset: xarray.Dataset, *, title: str | None = None) -> Figure:
    """A result of `vitprobe.probe`: a line through the outputs of blocks, with a dot for each layer
    in between; of tokens `each` a map for each layer, with the leading tokens beside it.

    title: instead of what was done.

    Raises:
        InputError: the result holds no accuracy of layers.
    """
    check(dataset)
    each = each_token(dataset)
    said = [
        f"Probes of {dataset.attrs.get('model', 'model')}",
        str(dataset.attrs.get("dataset", "")),
    ]
    said = [part for part in said if part] if title is None else [title]
    made = [fact for fact in method([dataset]) if not (each and fact.startswith("bands"))]
    details = [*made, *weights_facts(dataset.attrs, ["model"])]
    return (_maps if each else _curve)(dataset, said, details)


def _curve(dataset: xarray.Dataset, said: list[str], details: list[str]) -> Figure:
    drawn = new_figure()
    measure = text_measure(drawn)
    axes = add_axes(drawn, 0, 0, WIDTH, HEIGHT)
    x = np.arange(dataset.sizes["layer"])
    (colour,) = colours_of(1)
    curve(axes, dataset, x, colour)
    limits(axes, [dataset])
    handles = references(axes, [dataset], [colour])
    if len(spine(dataset)) < len(x):
        dots = axes.scatter([], [], s=7, color=colour, alpha=0.45, linewidths=0)
        (line,) = axes.plot([], [], color=colour, marker="o", markersize=3, linewidth=1.2)
        line.set_label("outputs of blocks, and ends")
        dots.set_label("layers in between")
        handles = [line, dots, *handles]
    blank = np.flatnonzero(np.isnan(dataset["accuracy"].values))
    for place in blank:
        axes.axvspan(place - 0.5, place + 0.5, **BLANK)
    if len(blank):
        handles.append(Patch(label="no value (see blank)", **BLANK))
    axes.set_xlim(-0.5, len(x) - 0.5)
    names = shorten_names([str(n) for n in dataset["layer"].values], LONGEST, TEXT, measure)
    blocks = [str(block) for block in dataset["block"].values]
    labels = tick_labels(names, blocks, WIDTH * POINTS, measure, along_x=True)
    set_ticks(axes.xaxis, labels, labels.size)
    if handles:
        axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, **LEGEND)
    write_title(axes, said, details, 4 + legend_height(axes), WIDTH * POINTS, measure)
    fit_canvas(drawn)
    return drawn


def _maps(dataset: xarray.Dataset, said: list[str], details: list[str]) -> Figure:
    drawn = new_figure()
    measure = text_measure(drawn)
    names = shorten_names(
        [str(n) for n in dataset["layer"].values], (TILE + BETWEEN) * POINTS, SMALL, measure
    )
    values = 100 * dataset["accuracy"].values
    known = values[np.isfinite(values)]
    low, high = (math.floor(known.min()), math.ceil(known.max())) if known.size else (0, 100)
    colours = {"cmap": "viridis", "vmin": low, "vmax": max(high, low + 1)}
    special = int(dataset["prefix"].max()) > 0
    step = TILE + BETWEEN + (SPECIAL + 0.05) * special
    image, bottom = None, 0.0
    across = min(ACROSS, len(names))
    for layer, name in enumerate(names):
        left, top = (layer % across) * step, -(layer // across) * (TILE + 0.34)
        here = dataset.isel(layer=layer)
        rows, columns, prefix = (int(here[key]) for key in ("rows", "columns", "prefix"))
        count, own = int(here["tokens"]), values[layer]
        if prefix:
            axes = bare_axes(drawn, left, top, SPECIAL, min(TILE, SPECIAL * prefix))
            axes.patch.set(**BLANK)
            image = axes.imshow(np.ma.masked_invalid(own[:prefix, None]), aspect="auto", **colours)
        patches = own[prefix:count]
        shape = (rows, columns) if rows else (1, len(patches))
        tall = TILE * min(1.0, shape[0] / shape[1]) if rows else SPECIAL
        axes = bare_axes(drawn, left + (SPECIAL + 0.05) * special, top, TILE, tall)
        axes.patch.set(**BLANK)
        shown = np.ma.masked_invalid(patches.reshape(shape))
        image = axes.imshow(shown, aspect="auto", interpolation="nearest", **colours)
        caption(axes, name, size=SMALL)
        bottom = min(bottom, top - tall)
    width = across * step - BETWEEN
    tall = min(2.0, -bottom)
    bar = drawn.colorbar(image, cax=add_axes(drawn, width + 0.15, -tall, 0.1, tall))
    bar.outline.set_linewidth(0.5)
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5)
    bar.set_label("accuracy, %", fontsize=SMALL)
    if special:
        details = [*details, "bars: class token and registers"]
    details += (
        [f"chance: {100 * dataset.attrs['chance']:.1f} %"] if "chance" in dataset.attrs else []
    )
    heading(drawn, 0.24, width + 0.6, said, details, measure)
    fit_canvas(drawn)
    return drawn
