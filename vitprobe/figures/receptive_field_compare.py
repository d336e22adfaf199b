"""The receptive fields of several models beside each other, along their depth."""

from collections.abc import Sequence

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.labels import shorten_names
from vitprobe.figures.receptive_field import texts_of
from vitprobe.figures.receptive_field_panels import (
    check,
    colour_bar,
    distinct,
    radii_caption,
    tile,
)
from vitprobe.figures.style import (
    PLAIN,
    POINTS,
    add_axes,
    fit_canvas,
    new_figure,
    text_measure,
)
from vitprobe.figures.tiles import caption, heading
from vitprobe.figures.weights import weights_facts

TILES, SIDE = 6, 0.85  # maps of each model, and inches of one
ACROSS, ABOVE, BELOW, NAME = 0.07, 0.15, 0.16, 0.2  # inches
PANEL = (2.45, 1.5)  # inches
LINES = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")


def compare(datasets: Sequence[xarray.Dataset], *, title: str | None = None) -> Figure:
    """Results of several models: maps at even steps of each model's depth, and the radii of 50 and
    90 % along it: in pixels, of images of several sizes in % of half of the image's diagonal.

    title: instead of what was done.

    Raises:
        InputError: one of them holds no receptive fields, or there is none.
    """
    if not datasets:
        raise InputError("no result to compare: pass two or more of vitprobe.receptive_field")
    for dataset in datasets:
        check(dataset)
    shown = [distinct(dataset) for dataset in datasets]
    drawn = new_figure()
    measure = text_measure(drawn)
    labels = [str(each.attrs.get("model", "model")) for each in datasets]
    total = TILES * (SIDE + ACROSS) - ACROSS
    names = shorten_names(labels, total * POINTS * 0.8, 8, measure)
    top = 0.0
    for name, fields in zip(names, shown, strict=True):
        top = _row(drawn, fields, name, top, measure)
    colour_bar(drawn, total + 0.12, -SIDE - NAME, SIDE)
    sizes = {fields["map"].shape[1:] for fields in shown}
    for place, which in enumerate(("r50", "r90")):
        left = place * (PANEL[0] + 0.5)
        axes = add_axes(drawn, left, top - 0.2 - PANEL[1], *PANEL)
        for k, (name, fields) in enumerate(zip(names, shown, strict=True)):
            scale = 1.0 if len(sizes) == 1 else 200 / np.hypot(*fields["map"].shape[1:])
            count = fields.sizes["layer"]
            depth = np.arange(count) / max(count - 1, 1)
            values, errors = fields[which].values, np.nan_to_num(fields[f"{which}_se"].values)
            axes.errorbar(
                depth, values * scale, errors * scale, color=LINES[k % len(LINES)], label=name,
                marker=".", markersize=4, linewidth=1, elinewidth=0.8, capsize=1.5,
                linestyle="-" if k < len(LINES) else "--",
            )  # fmt: skip
        axes.set(ylim=(0, None), xlim=(-0.03, 1.03))
        axes.set_xlabel("depth: first to last layer shown", fontsize=7.5, **PLAIN)
        unit = "px" if len(sizes) == 1 else "% of half\nthe diagonal"
        axes.set_ylabel(f"{which[1:]} % within ({unit})", fontsize=7.5, **PLAIN)
        axes.tick_params(labelsize=7, length=2)
        for edge in ("top", "right"):
            axes.spines[edge].set_visible(False)
    _legend(drawn, axes, top - 0.2 - PANEL[1] - 0.5)
    heading(drawn, 0.05, total, *_texts(datasets, title), measure)
    fit_canvas(drawn)
    return drawn


def _legend(drawn: Figure, panel: Axes, top: float) -> None:
    """One line for each model, below both panels."""
    below = add_axes(drawn, 0, top, 0.01, 0.01)
    below.set_axis_off()
    handles, names = panel.get_legend_handles_labels()
    for handle, name in zip(handles, names, strict=True):
        line = handle.lines[0]
        below.plot([], [], color=line.get_color(), linestyle=line.get_linestyle(), label=name)
    legend = below.legend(
        loc="upper left", bbox_to_anchor=(0, 1), borderaxespad=0, frameon=False, fontsize=7
    )
    for text in legend.get_texts():
        text.set(**PLAIN)


def _row(drawn: Figure, fields: xarray.Dataset, name: str, top: float, measure) -> float:
    """One model's maps below its name; where the next row begins."""
    line = add_axes(drawn, 0, top - NAME + ABOVE - 0.1, 0.01, 0.01)
    line.set_axis_off()
    line.annotate(name, (0, 0), xycoords="axes fraction", fontsize=8, va="bottom", **PLAIN)
    top -= NAME + ABOVE - 0.05
    count = fields.sizes["layer"]
    places = np.unique(np.linspace(0, count - 1, min(TILES, count)).round().astype(int))
    layers = [str(layer) for layer in fields["layer"].values[places]]
    texts = shorten_names(layers, SIDE * POINTS, 6.5, measure)
    height = 0.0
    for k, (place, text) in enumerate(zip(places, texts, strict=True)):
        one = fields.isel(layer=place)
        axes = tile(drawn, one, k * (SIDE + ACROSS), top, SIDE)
        height = SIDE * one["map"].shape[0] / max(one["map"].shape)
        caption(axes, text)
        radii_caption(axes, one)
    return top - height - BELOW - 0.05


def _texts(datasets: Sequence[xarray.Dataset], title: str | None) -> tuple[list[str], list[str]]:
    details = [texts_of(each)[1] for each in datasets]
    own = [weights_facts(each.attrs, ["model"]) for each in datasets]
    alike = [part for part in details[0] if all(part in others for others in details)]
    shared = [part for part in alike if part not in own[0] or all(each == own[0] for each in own)]
    if len(datasets) > 1 and any(each != own[0] for each in own):
        for dataset, words in zip(datasets, own, strict=True):
            shared += [f"{dataset.attrs.get('model', 'model')}: {word}" for word in words]
    return (["Receptive fields"] if title is None else [title]), shared
