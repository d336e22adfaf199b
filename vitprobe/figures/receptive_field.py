"""The receptive fields of one model: a map for each layer, and their radii along the layers."""

import math

import numpy as np
import xarray
from matplotlib.figure import Figure

from vitprobe.figures.labels import shorten_names, tick_labels
from vitprobe.figures.receptive_field_panels import (
    BOX,
    COLOURS,
    SHARES,
    check,
    colour_bar,
    distinct,
    radii_caption,
    tile,
    uniform_radii,
)
from vitprobe.figures.style import PLAIN, POINTS, add_axes, fit_canvas, new_figure, text_measure
from vitprobe.figures.tiles import caption, heading
from vitprobe.figures.weights import weights_facts

WIDTH = 6.0  # inches, of all tiles, and of the radii
LARGEST, LEAST = 1.15, 0.68  # inches: a tile's longer side
ACROSS, ABOVE, BELOW = 0.07, 0.15, 0.15  # inches beside a tile, and for the texts around one
RADII = 1.7  # inches
LONGEST = 90.0  # pt, of a name below the radii


def figure(dataset: xarray.Dataset, *, title: str | None = None) -> Figure:
    """A result of `vitprobe.receptive_field`.

    On top a map for each layer, with circles of 50 and 90 % of its mass, and the theoretical box
    where it ends within the image; each goes up to its own largest value, and its colours are the
    square root of that share. Below these radii along the layers, and half of the box's side. A
    layer whose very tensor is another's is not shown again. title: instead of model and data.

    Raises:
        InputError: the result holds no receptive fields.
    """
    check(dataset)
    shown = distinct(dataset)
    names = [str(name) for name in shown["layer"].values]
    drawn = new_figure()
    measure = text_measure(drawn)
    columns = _columns(len(names))
    side = min(LARGEST, (WIDTH + ACROSS) / columns - ACROSS)
    rows, cols = shown["map"].shape[1:]
    height = side * rows / max(rows, cols)
    texts = shorten_names(names, (side + 0.6 * ACROSS) * POINTS, 6.5, measure)
    down = height + ABOVE + BELOW
    for k, text in enumerate(texts):
        one = shown.isel(layer=k)
        place = (k % columns * (side + ACROSS), -(k // columns) * down)
        axes = tile(drawn, one, *place, side)
        caption(axes, text)
        radii_caption(axes, one)
    total = columns * (side + ACROSS) - ACROSS
    colour_bar(drawn, total + 0.12, -height, max(height, 0.7))
    bottom = -math.ceil(len(names) / columns) * down - 0.35 - RADII
    _radii(drawn, shown, max(total, 3.2), bottom, measure)
    said, details = texts_of(dataset)
    heading(drawn, 0.22, max(total, 3.2), said if title is None else [title], details, measure)
    fit_canvas(drawn)
    return drawn


def _columns(count: int) -> int:
    """Tiles in a row: as many rows as needed, and none that is nearly empty."""
    most = int((WIDTH + ACROSS) / (LEAST + ACROSS))
    return max(1, math.ceil(count / math.ceil(count / most)))


def _radii(drawn: Figure, shown: xarray.Dataset, width: float, bottom: float, measure) -> None:
    axes = add_axes(drawn, 0, bottom, width, RADII)
    places = np.arange(shown.sizes["layer"])
    points = zip(shown["point_row"].values, shown["point_col"].values, strict=True)
    uniform = uniform_radii(shown["map"].shape[1:], list(points))
    for k, (name, colour) in enumerate(COLOURS.items()):
        values, errors = shown[name].values, np.nan_to_num(shown[f"{name}_se"].values)
        axes.errorbar(
            places, values, errors, color=colour, marker=".", markersize=4, linewidth=1,
            elinewidth=0.8, capsize=1.5, label=f"{SHARES[name]} of the gradient within",
        )  # fmt: skip
        axes.plot(
            places, uniform[:, k], ":", color=colour, linewidth=0.8,
            label=f"{SHARES[name]} of an even map", marker="_" if len(places) < 2 else "",
        )  # fmt: skip
    limit = 1.12 * max(uniform.max(), np.nanmax(np.append(shown["r90"].values, 0)))
    half = shown["box"].values / 2
    inside = half <= limit
    if np.isfinite(half).any():
        axes.plot(
            places[inside], half[inside], "s", color=BOX, markersize=3, markerfacecolor="none",
            markeredgewidth=0.7, label="half of the box's side",
        )  # fmt: skip
        beyond = np.isfinite(half) & ~inside
        if beyond.any():
            axes.plot(places[beyond], np.full(beyond.sum(), 0.97 * limit), "^", color=BOX,
                      markersize=3, label="half of it, beyond this axis")  # fmt: skip
    axes.set(ylim=(0, limit), xlim=(-0.5, len(places) - 0.5))
    axes.set_ylabel("distance (px)", fontsize=7.5)
    labels = tick_labels(
        shorten_names(list(map(str, shown["layer"].values)), LONGEST, 6.5, measure),
        [str(block) for block in shown["block"].values],
        width * POINTS,
        measure,
        along_x=True,
    )
    axes.set_xticks(labels.positions, labels.texts, rotation=labels.rotation, **PLAIN)
    axes.tick_params(axis="x", labelsize=max(labels.size, 6.5), length=2)
    axes.tick_params(axis="y", labelsize=7, length=2)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, frameon=False, fontsize=6.5,
        borderaxespad=0.1, columnspacing=1.2, handlelength=1.6, labelspacing=0.2,
    )  # fmt: skip


def texts_of(dataset: xarray.Dataset) -> tuple[list[str], list[str]]:
    """Title and details of one result."""
    attrs = dataset.attrs
    title = ["Receptive fields", str(attrs.get("model", "model"))]
    residual = {
        "post": "after the residual sum",
        "pre": "of the long branch, before the residual sum",
    }.get(str(attrs.get("residual")), "")
    details = [str(attrs.get("dataset", ""))]
    if "examples" in attrs:
        count = int(attrs["examples"])
        details.append(f"{count:,} example{'' if count == 1 else 's'}")
    details += [residual, f"convention {attrs.get('convention', 'raghu')}"]
    details += weights_facts(attrs, ["model"])
    details.append("circles: 50 and 90 % of the gradient, below each map their radii (px)")
    return title, [part for part in details if part]
