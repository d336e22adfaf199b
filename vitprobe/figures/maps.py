"""Attention maps of one image: class-token attention of every head, rollout of every layer."""

import math

import numpy as np
import xarray
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.labels import shorten_names
from vitprobe.figures.style import (
    PLAIN,
    POINTS,
    Measure,
    add_axes,
    fit_canvas,
    new_figure,
    text_measure,
)
from vitprobe.figures.tiles import bare_axes, caption, draw_over, heading
from vitprobe.figures.weights import weights_facts

TILE = 0.95  # inches: a map's longer side
ACROSS, ABOVE, BELOW = 0.08, 0.15, 0.13  # inches between tiles, and for the texts around one
MOST_COLUMNS = 12
ROLLOUT_COLUMNS = 6  # where there are fewer heads


def figure(dataset: xarray.Dataset, image: int = 0, *, title: str | None = None) -> Figure:
    """One image of a result of `vitprobe.maps`, the first unless `image` says which.

    On top the image; then a row for each layer (first, middle and last, if the result holds all)
    with a map for each head; then the rollout of all layers. A map's colours go from 0 to its
    maximum, which is written below it. title: instead of model, data and image.

    Raises:
        InputError: the result holds no maps, or no such image.
    """
    if "attention" not in dataset or not dataset["attention"].size:
        raise InputError("cannot plot this result: it holds no attention maps; compute it again")
    if not 0 <= image < dataset.sizes["image"]:
        raise InputError(f"no image {image} in this result: it holds {dataset.sizes['image']}")
    one = dataset.isel(image=image).transpose("layer", "head", "row", "col", ...)
    picture = one["picture"].transpose("y", "x", "rgb").values
    names = [str(name) for name in one["layer"].values]
    shown = shown_layers(len(names), dataset.attrs.get("layers", "all") == "all")

    drawn = new_figure()
    measure = text_measure(drawn)
    heads = one.sizes["head"]
    head_columns = math.ceil(heads / math.ceil(heads / MOST_COLUMNS))
    columns = max(head_columns, min(len(names), ROLLOUT_COLUMNS))
    scale = TILE / max(picture.shape[:2])
    height, width = picture.shape[0] * scale, picture.shape[1] * scale
    down = height + ABOVE + BELOW

    def place(top: float, column: int):
        return bare_axes(drawn, column * (width + ACROSS), top, width, height)

    def section(top: float, text: str) -> None:
        line = add_axes(drawn, 0, top, 0.01, 0.01)
        line.set_axis_off()
        line.annotate(text, (0, 0), xycoords="axes fraction", fontsize=8, va="bottom", **PLAIN)

    top = 0.0
    axes = place(top, 0)
    axes.imshow(
        picture if picture.shape[-1] == 3 else picture[..., 0],
        cmap="gray",
        vmin=0,
        vmax=255,
        aspect="auto",
        interpolation="nearest",
    )
    caption(axes, "as the model sees it", below=True)
    top -= height + BELOW + 0.4
    for layer in shown:
        rows = one["attention"].values[layer]
        section(top + ABOVE + 0.04, f"{names[layer]}: {_what(dataset)}")
        for head in np.flatnonzero(np.isfinite(rows).any((1, 2))):
            axes = place(top - (head // head_columns) * down, head % head_columns)
            drawn_map = draw_over(axes, picture, rows[head])
            caption(axes, f"head {head}")
            caption(axes, f"max {rows[head].max():.2g}", below=True, size=6)
        top -= math.ceil(heads / head_columns) * down + 0.2
    section(top + ABOVE + 0.04, "rollout up to each layer")
    for layer, name in enumerate(_captions(names, width * POINTS, measure)):
        axes = place(top - (layer // columns) * down, layer % columns)
        drawn_map = draw_over(axes, picture, one["rollout"].values[layer])
        caption(axes, name)
    _add_bar(drawn, drawn_map, width + 2 * ACROSS, height)
    total = columns * (width + ACROSS) - ACROSS
    said, details = _texts(dataset, image)
    heading(drawn, 0.1, total, said if title is None else [title], details, measure)
    fit_canvas(drawn)
    return drawn


def shown_layers(count: int, all_asked: bool) -> list[int]:
    """First, middle and last of all layers; those that were asked for by name are all shown."""
    return sorted({0, (count - 1) // 2, count - 1}) if all_asked else list(range(count))


def _captions(names: list[str], longest: float, measure: Measure) -> list[str]:
    """Names over tiles of `longest` pt; where one is longer, without what all have in common."""
    if len(names) > 1 and any(measure(name, 6.5)[0] > longest for name in names):
        parts = [name.split(".") for name in names]
        first = _alike(parts)
        last = _alike([part[first:][::-1] for part in parts])
        names = [".".join(part[first : len(part) - last]) for part in parts]
    return shorten_names(names, longest, 6.5, measure)


def _alike(lists: list[list[str]]) -> int:
    """How many of their first items all have in common."""
    columns = zip(*lists, strict=False)
    return next(
        (i for i, column in enumerate(columns) if len(set(column)) > 1), min(map(len, lists))
    )


def _what(dataset: xarray.Dataset) -> str:
    if dataset.attrs.get("query") == "class token":
        return "attention of the class token to the patches"
    return "attention to the patches, mean over queries"


def _texts(dataset: xarray.Dataset, image: int) -> tuple[list[str], list[str]]:
    attrs = dataset.attrs
    title = [str(attrs.get("model", "model")), str(attrs.get("dataset", ""))]
    title.append(f"image {dataset['image'].values[image]}")
    rows, columns = dataset.sizes["row"], dataset.sizes["col"]
    tokens = rows * columns + int(attrs.get("prefix", 0))
    details = [f"{rows} x {columns} patches", f"uniform attention is {1 / tokens:.2g}"]
    details += weights_facts(attrs, ["model"])
    return [part for part in title if part], details


def _add_bar(drawn: Figure, drawn_map, left: float, height: float) -> None:
    axes = add_axes(drawn, left, -height, 0.12, height)
    bar = drawn.colorbar(drawn_map, cax=axes)
    bar.outline.set_linewidth(0.4)
    bar.set_ticks([0, 1], labels=["0", "the map's maximum"])
    axes.tick_params(labelsize=6.5, length=2, width=0.4)
