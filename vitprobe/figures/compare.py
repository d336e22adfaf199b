"""Models against models: the matrix along its dendrogram, and a map where alike models are near."""

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.heatmap import BLANK, add_bar, add_legend
from vitprobe.figures.labels import shorten_names
from vitprobe.figures.model_map import draw_map, map_height
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

CELL, SIDE = 0.3, (1.3, 5.4)  # inches: a model's row; the matrix, least and most
TREE, TREE_GAP = 0.9, 0.04  # inches: the dendrogram's width, and its distance from the matrix
BAR, BAR_GAP, BAR_TALL = 0.13, 0.22, 1.3  # inches
MAP_GAP, MAP = 0.85, (2.8, 4.4)  # inches
LONGEST = 120.0  # pt of a name
SIZES = (8.0, 7.5, 7.0, 6.5, 6.0)  # pt
VALUES = 17.0  # pt that a cell must have for its number
SHADES = 10  # colours begin at a tenth
PAIR = ("model", "model2")


def figure(dataset: xarray.Dataset, *, title: str | None = None) -> Figure:
    """A result of `vitprobe.compare`: similarities in the order of the dendrogram, which stands
    beside them, and the map of classical scaling; hollow points have random weights.

    Models without a value are hatched, and not on the map. title: instead of what was done.

    Raises:
        InputError: the result holds no `similarity` over model and model2.
    """
    if "similarity" not in dataset or set(dataset["similarity"].dims) != set(PAIR):
        raise InputError("cannot plot this result: it has no 'similarity' over model and model2")
    place = dataset["order"].values.astype(int)
    order = np.argsort(place)
    values = dataset["similarity"].transpose(*PAIR).values[np.ix_(order, order)]
    count = len(values)
    drawn = new_figure()
    measure = text_measure(drawn)
    side = min(max(count * CELL, SIDE[0]), SIDE[1])
    names = [str(name) for name in dataset["model"].values]
    short = shorten_names(names, LONGEST, SIZES[0], measure)
    points = dataset["position"].values
    hollow = [str(each) == "random" for each in dataset["weights"].values]

    matrix = add_axes(drawn, 0, 0, side, side)
    tree = add_axes(drawn, side + TREE_GAP, 0, TREE, side)
    tall = min(side, BAR_TALL)
    bar = add_axes(drawn, side + TREE_GAP + TREE + BAR_GAP, side - tall, BAR, tall)
    left = side + TREE_GAP + TREE + BAR_GAP + BAR + MAP_GAP
    width = min(max(side, MAP[0]), MAP[1])
    height = map_height(points, width)
    numbered = draw_map(drawn, (left, side - height, width, height), points, short, hollow, place)
    rows = columns = [short[k] for k in order]
    if numbered:
        rows = [f"{name}  {k}" for k, name in enumerate(rows, 1)]
        columns = [str(k) for k in range(1, count + 1)]
    _matrix(matrix, values, rows, columns, side, measure)
    _tree(tree, dataset["linkage"].values, place)
    add_bar(bar, matrix.images[0], values, "similarity")
    above = 0.12
    if np.isnan(values).any():
        matrix.patch.set(**BLANK)
        above += add_legend(matrix, "no value (see blank)") / POINTS
    said, details = _texts(dataset, numbered)
    said = said if title is None else [title]
    heading(drawn, side + above, left + width, said, details, measure)
    fit_canvas(drawn)
    return drawn


def _matrix(
    axes: Axes,
    values: np.ndarray,
    rows: list[str],
    columns: list[str],
    side: float,
    measure: Measure,
) -> None:
    """The first model at the top and on the left."""
    count = len(values)
    others = values[~np.eye(count, dtype=bool)]
    lowest = np.min(others, initial=1.0, where=~np.isnan(others))
    low = np.floor(SHADES * lowest) / SHADES if lowest < 1 else 0.0
    axes.imshow(
        np.ma.masked_invalid(values), cmap="magma", vmin=low, vmax=1.0, interpolation="nearest"
    )
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
    room = side * POINTS / count
    fitting = [size for size in SIZES if max(measure(each, size)[1] for each in rows) <= room]
    size = fitting[0] if fitting else SIZES[-1]
    step = 1 if fitting else int(np.ceil(measure("Ag", size)[1] / room))
    axes.set_yticks(range(0, count, step), rows[::step], fontsize=size, **PLAIN)
    flat = max(measure(each, size)[0] for each in columns) <= room - 4
    turn = 0 if flat else 90
    axes.set_xticks(range(0, count, step), columns[::step], fontsize=size, rotation=turn, **PLAIN)
    axes.tick_params(length=2, width=0.5)
    if room < VALUES:
        return
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            dark = (value - low) / max(1 - low, 1e-9) < 0.6
            text = f"{value:.2f}".removeprefix("0") if value >= 0 else f"−{-value:.2f}"
            axes.text(
                column, row, text, ha="center", va="center", fontsize=6.5,
                color="white" if dark else "black", gid="value",
            )  # fmt: skip


def _tree(axes: Axes, merges: np.ndarray, place: np.ndarray) -> None:
    """The dendrogram, its leaves at the matrix's rows; merges are at their similarity."""
    count = len(place)
    at = {k: (0.0, float(place[k])) for k in range(count)}  # of a cluster: distance, height
    for k, (one, two, distance, _) in enumerate(merges):
        (x1, y1), (x2, y2) = at[int(one)], at[int(two)]
        axes.plot([x1, distance, distance, x2], [y1, y1, y2, y2], color="0.25", linewidth=0.9)
        at[count + k] = (float(distance), (y1 + y2) / 2)
    axes.set_ylim(count - 0.5, -0.5)
    largest = float(merges[:, 2].max()) if len(merges) else 1.0
    axes.set_xlim(0, 1.05 * (largest or 1.0))
    axes.set_yticks([])
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_linewidth(0.6)
    axes.locator_params(axis="x", nbins=3)
    axes.tick_params(labelsize=6.5, length=2.5, width=0.5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{1 - value:.3g}".replace("-", "−"))
    for label in axes.get_xticklabels():
        label.set(**PLAIN)
    axes.set_xlabel("joined at", fontsize=7)


def _texts(dataset: xarray.Dataset, numbered: bool) -> tuple[list[str], list[str]]:
    attrs, count = dataset.attrs, dataset.sizes["model"]
    details = [str(attrs.get("dataset", ""))]
    if "examples" in attrs:
        details.append(f"{int(attrs['examples']):,} examples")
    details.append("similarity: CKA of layers with their best matches, mean of both directions")
    if "layers" in attrs:
        details.append(f"layers: {attrs['layers']}")
    errors = dataset["similarity_se"].values
    if np.isfinite(errors).any():
        details.append(f"standard errors up to {np.nanmax(errors):.2g}")
    if (dataset["weights"].values == "random").any():
        details.append(f"hollow: {weights_words('random')}")
    if np.isfinite(share := float(attrs.get("map_share", np.nan))):
        stress = float(attrs["map_stress"])
        details.append(
            f"map: classical scaling of 1 − similarity ({share:.0%}, stress {stress:.2f})"
        )
    if numbered:
        details.append("numbers on the map: as in the matrix")
    return [f"How alike {count} models are"], [part for part in details if part]
