"""Dominant examples: two maps of CKA, the first component's share beside them, the examples below.

The maps as in `vitprobe.figures.cka`: first layers in the lower left corner. The share of each
layer's first principal component stands beside its row.
"""

import math
from dataclasses import replace

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.facts import data_of, method_of
from vitprobe.figures.heatmap import BLANK, add_bar, add_legend, draw_map, set_ticks
from vitprobe.figures.labels import shorten, shorten_names, tick_labels
from vitprobe.figures.style import (
    PLAIN,
    POINTS,
    Measure,
    add_axes,
    fit_canvas,
    new_figure,
    text_measure,
)
from vitprobe.figures.tiles import bare_axes, caption, heading

SIDE = 2.15  # inches, of each map
SHARE = 0.9  # inches, the width of the panel of shares
GAP, BAR = 0.14, 0.12  # inches
LONGEST = 80.0  # pt, of a layer's name: the figure is to fit two columns of a paper
ACROSS = 8  # thumbnails in a row
ROUNDING = 1e-6  # by which a CKA may exceed 1: a layer with itself
TITLES = ("all examples", "without the dominant ones", "first component")


def figure(dataset: xarray.Dataset, *, title: str | None = None) -> Figure:
    """A result of `vitprobe.dominant`: CKA of all examples and without the dominant ones, each
    layer's share of the first principal component, and the examples with the highest scores.

    Blanks (NaN) are hatched on grey. title: instead of what was done.

    Raises:
        InputError: the result holds no `cka`, `cka_without` and `first_share` over layers.
    """
    for name in ("cka", "cka_without"):
        if name not in dataset or set(dataset[name].dims) != {"layer_a", "layer_b"}:
            raise InputError(f"cannot plot this result: it has no {name!r} over layers")
    if "first_share" not in dataset or not dataset.sizes.get("layer"):
        raise InputError("cannot plot this result: it has no 'first_share' over layers")
    drawn = new_figure()
    measure = text_measure(drawn)
    names = [str(name) for name in dataset["layer"].values]
    blocks = [str(block) for block in dataset["block"].values]
    labels = [
        tick_labels(names, blocks, SIDE * POINTS, measure, along_x=along_x)
        for along_x in (True, False)
    ]
    size = min(each.size for each in labels)
    labels = [
        replace(each, texts=tuple(shorten_names(each.texts, LONGEST, size, measure)))
        for each in labels
    ]
    maps = []
    for k, name in enumerate(("cka", "cka_without")):
        values = dataset[name].transpose("layer_a", "layer_b").values
        values = np.where((values > 1) & (values <= 1 + ROUNDING), 1.0, values)
        axes = add_axes(drawn, k * (SIDE + GAP), 0, SIDE, SIDE)
        image = draw_map(axes, values)
        _thin(axes)
        set_ticks(axes.xaxis, labels[0], size)
        set_ticks(axes.yaxis, labels[1], size)
        axes.tick_params(axis="y", which="both", labelleft=k == 0)
        if not np.isfinite(values).all():
            axes.patch.set(**BLANK)
        maps.append(values)
    axes = add_axes(drawn, 2 * (SIDE + GAP), 0, SHARE, SIDE)
    _draw_shares(axes, dataset)
    set_ticks(axes.yaxis, labels[1], size)
    axes.tick_params(axis="y", which="both", labelleft=False)
    for axes, text in zip(drawn.axes, TITLES, strict=True):
        axes.set_title(text, fontsize=8, pad=4, **PLAIN)
    left = 2 * (SIDE + GAP) + SHARE + GAP
    bar = add_axes(drawn, left, 0, BAR, SIDE)
    both = np.concatenate(maps)
    add_bar(bar, image, both, "CKA (unbiased)")
    bar.tick_params(labelsize=7)
    drawn.canvas.draw()
    above = SIDE + 0.3
    if not np.isfinite(both).all():
        add_legend(drawn.axes[0], "no value (see blank, blank_without)")
        drawn.axes[0].get_legend().set_bbox_to_anchor((0, 1 + 0.2 / SIDE))
        above += 0.2
    width = left + BAR
    below = drawn.get_tightbbox(drawn.canvas.get_renderer()).y0
    _draw_examples(drawn, dataset, below - 0.12, width, measure)
    said = [f"Dominant examples of {dataset.attrs.get('model', 'model')}", *data_of([dataset], "")]
    heading(drawn, above, width, said if title is None else [title], _details(dataset), measure)
    fit_canvas(drawn)
    return drawn


def _draw_shares(axes: Axes, dataset: xarray.Dataset) -> None:
    """One bar for each layer, at its row of the maps, with its standard error."""
    share, error = dataset["first_share"].values, dataset["first_share_se"].values
    rows = np.arange(len(share))
    axes.barh(rows, np.nan_to_num(share), height=0.8, color="0.6", linewidth=0)
    there = np.isfinite(share) & np.isfinite(error)
    axes.errorbar(
        share[there], rows[there], xerr=error[there], fmt="none", ecolor="0.1", elinewidth=0.7
    )
    axes.set(xlim=(0, 1), ylim=(-0.5, len(rows) - 0.5))
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=7)
    axes.set_xlabel("share of variance", fontsize=7.5, labelpad=3)
    axes.grid(axis="x", linewidth=0.3, color="0.85")
    axes.set_axisbelow(True)
    _thin(axes)
    for row in rows[~np.isfinite(share)]:
        axes.axhspan(row - 0.5, row + 0.5, **BLANK)


def _draw_examples(
    drawn: Figure, dataset: xarray.Dataset, top: float, width: float, measure: Measure
) -> None:
    """Thumbnails in rows, in the order of their scores: number and class above, score below."""
    count = dataset.sizes["rank"]
    if not count or "thumbnail" not in dataset:  # the model is shown no images
        return
    gap = 0.08
    tile = (width - gap * (ACROSS - 1)) / ACROSS
    line = add_axes(drawn, 0, top - 0.12, width, 0.01)
    line.set_axis_off()
    words = "examples with the highest scores (squared norm / mean of the batch, mean over layers)"
    line.annotate(words, (0, 0), xycoords="axes fraction", fontsize=7.5, va="bottom", **PLAIN)
    pictures = dataset["thumbnail"].transpose("rank", "y", "x", "rgb").values
    scale = tile / max(pictures.shape[1:3])
    height = pictures.shape[1] * scale
    for k in range(count):
        row, column = divmod(k, ACROSS)
        left = column * (tile + gap) + (tile - pictures.shape[2] * scale) / 2
        upper = top - 0.34 - row * (height + 0.36)
        axes = bare_axes(drawn, left, upper, pictures.shape[2] * scale, height)
        picture = pictures[k] if pictures.shape[-1] == 3 else pictures[k][..., 0]
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="nearest")
        label = int(dataset["label"].values[k])
        above = f"{int(dataset['examples'].values[k])}"
        above += f", class {label}" if label >= 0 else ""
        caption(axes, shorten(above, (tile + gap) * POINTS, 6.5, measure))
        caption(axes, f"{float(dataset['score'].values[k]):.3g}", below=True)


def _details(dataset: xarray.Dataset) -> list[str]:
    """How the numbers were made, and what the colours cannot show."""
    attrs = dataset.attrs
    details = method_of([dataset], ", ")
    if "examples_left_out" in attrs and "examples" in attrs:
        count, examples = int(attrs["examples_left_out"]), int(attrs["examples"])
        share = math.floor(1000 * count / max(examples, 1) + 0.5) / 10
        details.append(f"{count:,} example{'' if count == 1 else 's'} left out ({share:g} %)")
    errors = [dataset[name] for name in ("cka_se", "cka_without_se") if name in dataset]
    if errors and (largest := max(float(each.fillna(0).max()) for each in errors)) > 0:
        details.append(f"standard errors of CKA up to {largest:.2g}")
    lowest = min(float(dataset[name].fillna(0).min()) for name in ("cka", "cka_without"))
    if lowest < 0:
        details.append(f"lowest value −{-lowest:.2g}")
    return details


def _thin(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
