"""CKA of subsets of heads with layers of another model, against the subsets' mean distance."""

import math

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.labels import shorten, shorten_names
from vitprobe.figures.style import (
    POINTS,
    Measure,
    add_axes,
    fit_canvas,
    new_figure,
    side_legend,
    text_measure,
)
from vitprobe.figures.ticks import number_ticks
from vitprobe.figures.tiles import heading
from vitprobe.figures.weights import weights_facts

PANEL = (2.5, 2.2)  # inches
GAP = (0.25, 0.75)
COLUMNS = 3
SHADES = (0.0, 0.85)  # part of the colour map for the first and the last layer
MOST_NAMES = 14  # layers in the legend
LONGEST = 150.0  # pt, of a name in the legend


def figure(dataset: xarray.Dataset, *, title: str | None = None) -> Figure:
    """A result of `vitprobe.head_subsets`: a panel for each size, in it a line for each layer.

    As in Raghu et al. 2021 (arXiv 2108.08810), figure 5: local heads on the left, global ones on
    the right. Bars are standard errors; a blank has no point. title: instead of what was done.

    Raises:
        InputError: the result holds no `cka` over subset and layer.
    """
    if "cka" not in dataset or set(dataset["cka"].dims) != {"subset", "layer"}:
        raise InputError("cannot plot this result: it has no 'cka' over subset and layer")
    sizes = sorted({int(size) for size in dataset["size"].values})
    names = [str(name) for name in dataset["layer"].values]
    colours = matplotlib.colormaps["viridis"](np.linspace(*SHADES, len(names)))
    drawn = new_figure()
    measure = text_measure(drawn)
    first = None
    for k, size in enumerate(sizes):
        row, column = divmod(k, COLUMNS)
        left, bottom = column * (PANEL[0] + GAP[0]), -row * (PANEL[1] + GAP[1])
        axes = add_axes(drawn, left, bottom, *PANEL)
        if first is None:
            first = axes
        else:
            axes.sharey(first)
            axes.sharex(first)
        _draw(axes, dataset.isel(subset=dataset["size"].values == size), colours)
        axes.set_title(f"{size} head{'s' if size > 1 else ''}", fontsize=8.5, pad=4)
        axes.tick_params(labelsize=7, labelleft=column == 0)
        if column == 0:
            axes.set_ylabel("CKA (unbiased)", fontsize=8)
        axes.set_xlabel("mean attention distance (pixels)", fontsize=8)
    # the panels share their axes, so this is said once
    for axis, length, along_x in ((first.xaxis, PANEL[0], True), (first.yaxis, PANEL[1], False)):
        low, high = axis.get_view_interval()
        axis.set_ticks(*number_ticks(low, high, length * POINTS, 7, measure, along_x=along_x))
    used = min(len(sizes), COLUMNS)
    width = used * (PANEL[0] + GAP[0]) - GAP[0]
    other = str(dataset.attrs.get("model_b", "other model"))
    _add_legend(drawn, names, colours, width, other, measure)
    said, details = _texts(dataset.attrs)
    heading(drawn, PANEL[1] + 0.3, width, said if title is None else [title], details, measure)
    fit_canvas(drawn)
    return drawn


def _draw(axes: Axes, subsets: xarray.Dataset, colours: np.ndarray) -> None:
    subsets = subsets.sortby("distance").transpose("layer", "subset", ...)
    for layer, colour in enumerate(colours):
        errors = subsets["cka_se"].values[layer]
        axes.errorbar(
            subsets["distance"].values,
            subsets["cka"].values[layer],
            yerr=np.where(np.isfinite(errors), errors, 0),
            color=colour,
            linewidth=1,
            marker="o",
            markersize=3,
            elinewidth=0.6,
        )
    axes.grid(linewidth=0.3, color="0.85")
    axes.set_axisbelow(True)


def _add_legend(
    drawn: Figure, names: list[str], colours, width: float, title: str, measure: Measure
) -> None:
    step = math.ceil(len(names) / MOST_NAMES)
    axes = add_axes(drawn, width + 0.15, 0, 0.01, PANEL[1])
    axes.set_axis_off()
    texts = shorten_names(names[::step], LONGEST, 7, measure)
    for name, colour in zip(texts, colours[::step], strict=True):
        axes.plot([], [], color=colour, marker="o", markersize=3, linewidth=1, label=name)
    side_legend(axes, shorten(title, LONGEST, 8, measure))


def _texts(attrs: dict) -> tuple[list[str], list[str]]:
    model, layer = attrs.get("model_a", "model"), attrs.get("layer_a", "attention")
    title = [f"heads of {model} {layer}, from local to global"]
    details = [str(attrs.get("dataset", ""))]
    if "examples" in attrs:
        details.append(f"{int(attrs['examples']):,} examples")
    details.append("bars: standard errors")
    details += weights_facts(attrs, ("model_a", "model_b"))
    return title, [part for part in details if part]
