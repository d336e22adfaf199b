"""What fine-tuning changes: CKA of each block with itself in the first checkpoint, and distance."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from vitprobe.errors import InputError
from vitprobe.figures.heatmap import BLANK
from vitprobe.figures.labels import shorten_names, tick_labels
from vitprobe.figures.style import (
    PLAIN,
    POINTS,
    Measure,
    add_axes,
    fit_canvas,
    new_figure,
    text_measure,
)
from vitprobe.figures.tiles import heading
from vitprobe.figures.weights import weights_words

PANEL, GAP = (2.55, 2.0), 0.72  # inches: a panel, and between the two
DIMS, ATTENTION = ("checkpoint", "layer"), ("checkpoint", "attention_layer")
FIRST = {"color": "0.1", "linestyle": (0, (4, 2))}  # the checkpoint that others are compared with
FEW = ("#d94801", "#2171b5", "#238b45")  # one, two or three others
SHADES = (0.0, 0.9)  # part of the colour map for the first and the last of more
MOST_NAMES = 10  # in the legend
MANY_LAYERS = 24  # beyond which dots are small
LONGEST, LONGEST_FIRST = 84.0, 100.0  # pt, of a name at the axis, and of the first checkpoint's
TEXT, SMALL = 8.0, 7.0  # pt


def figure(dataset: xarray.Dataset, *, title: str | None = None) -> Figure:
    """A result of `vitprobe.finetuning`: a line for each checkpoint, in colours by their order.

    On the left CKA with the first checkpoint, layer by layer; on the right, where there is one,
    attention distance, that of the first dashed. Bands are one standard error to either side;
    where all checkpoints are blank the panel is hatched. title: instead of what was done.

    Raises:
        InputError: the result holds no `cka` over checkpoint and layer, or nothing in it.
    """
    if "cka" not in dataset or dataset["cka"].dims != DIMS or not dataset["cka"].size:
        raise InputError("cannot plot this result: it has no 'cka' over checkpoint and layer")
    drawn = new_figure()
    measure = text_measure(drawn)
    names = [str(name) for name in dataset["checkpoint"].values]
    left = add_axes(drawn, 0, 0, *PANEL)
    others = dataset.isel(checkpoint=slice(len(names) > 1, None))
    colours = _colours(others.sizes["checkpoint"])
    _lines(left, others["cka"], others["cka_se"], colours)
    _limits(left, others["cka"].values, others["cka_se"].values)
    first = shorten_names(names, LONGEST_FIRST, TEXT, measure)[0]
    left.set_ylabel(f"CKA with {first}", fontsize=TEXT, **PLAIN)
    _layers(left, dataset, "", others["cka"].values, measure)
    panels, width = [left], PANEL[0]
    with_distance = "distance" in dataset and dataset["distance"].dims == ATTENTION
    if with_distance:
        right = add_axes(drawn, width + GAP, 0, *PANEL)
        panels.append(right)
        width += GAP + PANEL[0]
        before = dataset.isel(checkpoint=slice(0, 1))
        _lines(right, others["distance"], others["distance_se"], colours)
        _lines(right, before["distance"], before["distance_se"], [FIRST["color"]], first=True)
        right.set_ylabel("mean attention distance (px)", fontsize=TEXT)
        _layers(right, dataset, "attention_", dataset["distance"].values, measure)
    looks = [*([FIRST] if with_distance else []), *({"color": colour} for colour in colours)]
    shown = [*names[:1], *map(str, others["checkpoint"].values)][-len(looks) :]
    blank = any(axes.patches for axes in panels)
    _legend(drawn, shown, looks, width, blank, measure)
    said, details = _texts(dataset, names)
    top = PANEL[1] + 0.12
    heading(drawn, top, width, said if title is None else [title], details, measure)
    fit_canvas(drawn)
    return drawn


def _colours(count: int) -> list:
    if count <= len(FEW):
        return list(FEW[:count])
    return list(matplotlib.colormaps["viridis"](np.linspace(*SHADES, count)))


def _lines(axes: Axes, values, errors, colours: Sequence, *, first: bool = False) -> None:
    """A line for each checkpoint over the layers, its standard errors as a band."""
    style = {"linestyle": FIRST["linestyle"], "zorder": 3} if first else {}
    many = len(values) > len(FEW)
    dot = 2.4 if values.shape[1] <= MANY_LAYERS else 1.2
    for row, spread, colour in zip(values.values, errors.values, colours, strict=True):
        places = np.arange(len(row))
        axes.fill_between(
            places, row - spread, row + spread, color=colour, alpha=0.12 if many else 0.2, lw=0
        )
        axes.plot(places, row, color=colour, marker="o", markersize=dot, linewidth=1.1, **style)
        alone = _alone(row)  # where a band has no width
        axes.errorbar(
            places[alone], row[alone], spread[alone], fmt="none", ecolor=colour, elinewidth=0.8
        )
    axes.grid(axis="y", linewidth=0.3, color="0.85")
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL, length=2.5, width=0.5)
    for side, spine in axes.spines.items():
        spine.set_linewidth(0.6)
        spine.set_visible(side in ("left", "bottom"))


def _alone(row: np.ndarray) -> np.ndarray:
    """Which values have none to either side."""
    known = np.pad(np.isfinite(row), 1)
    return known[1:-1] & ~known[:-2] & ~known[2:]


def _limits(axes: Axes, values: np.ndarray, errors: np.ndarray) -> None:
    """CKA from 0 to 1 in every figure; below 0 where values are."""
    lowest = np.min(values - np.nan_to_num(errors), initial=0, where=np.isfinite(values))
    axes.set_ylim(min(-0.02, 1.05 * lowest), 1.03)


def _layers(axes: Axes, dataset, side: str, values: np.ndarray, measure: Measure) -> None:
    """The layers' names along the axis; hatched where no checkpoint has a value."""
    names = [str(name) for name in dataset[f"{side}layer"].values]
    blocks = [str(block) for block in dataset[f"{side}block"].values]
    for place in np.flatnonzero(~np.isfinite(values).any(0)):
        axes.axvspan(place - 0.5, place + 0.5, **BLANK)
    axes.set_xlim(-0.5, len(names) - 0.5)
    short = shorten_names(names, LONGEST, TEXT, measure)
    labels = tick_labels(short, blocks, PANEL[0] * POINTS, measure, along_x=True)
    axes.set_xticks(
        labels.positions, labels.texts, fontsize=labels.size, rotation=labels.rotation, **PLAIN
    )


def _legend(
    drawn: Figure, names: list[str], looks: list[dict], width: float, blank: bool, measure: Measure
) -> None:
    """Below the panels: the checkpoints by their colours, of many the first, the last, and some
    between; what is hatched."""
    lowest = min(axes.get_tightbbox().y0 for axes in drawn.axes) / drawn.dpi
    chosen = list(range(len(names)))
    if len(names) > MOST_NAMES:
        chosen = np.linspace(0, len(names) - 1, MOST_NAMES).round().astype(int).tolist()
    room = width * POINTS
    columns = len(chosen) + blank
    texts = [names[k] for k in chosen]
    while columns > 1:  # as many side by side as can be read
        short = shorten_names(texts, room / columns - 34, SMALL, measure)
        if short == texts:
            break
        columns = math.ceil(columns / 2)
    axes = add_axes(drawn, 0, lowest - 0.06, width, 0.01)
    axes.set_axis_off()
    for name, place in zip(
        shorten_names(texts, room / columns - 34, SMALL, measure), chosen, strict=True
    ):
        axes.plot([], [], marker="o", markersize=2.4, linewidth=1.1, label=name, **looks[place])
    handles, _ = axes.get_legend_handles_labels()
    if blank:
        handles.append(Patch(label="no value (see blank)", **BLANK))
    legend = axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        borderaxespad=0,
        borderpad=0,
        handlelength=2.2,
        columnspacing=1.2,
    )
    for text in legend.get_texts():
        text.set(**PLAIN)


def _texts(dataset: xarray.Dataset, names: list[str]) -> tuple[list[str], list[str]]:
    attrs = dataset.attrs
    details = [str(attrs.get("dataset", ""))]
    if "examples" in attrs:
        details.append(f"{int(attrs['examples']):,} examples")
    details.append("bands: standard errors, to either side")
    if "weights" in dataset.coords:
        random = [n for n, w in zip(names, dataset["weights"].values, strict=True) if w == "random"]
        if random:
            which = ", ".join(random) if len(random) <= len(FEW) else f"{len(random)} of them"
            details.append(f"{weights_words('random')}: {which}")
    return ["Each layer against the first checkpoint"], [part for part in details if part]
