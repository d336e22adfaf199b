"""The filters of a model's first convolution, and their principal components."""

import math

import numpy as np
import xarray
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.style import fit_canvas, new_figure, text_measure
from vitprobe.figures.tiles import bare_axes, caption, heading, mosaic
from vitprobe.figures.weights import weights_facts

COLUMNS = 7  # of components
TILE, GAP = 0.55, 0.17  # inches: a component's longer side; room for its caption
MOSAIC = 2.0  # of the mosaic: width per height, wanted


def filter_figure(dataset: xarray.Dataset) -> Figure:
    """All filters as they are, below their principal components where the result holds them (with
    their part of the variance, as in Dosovitskiy et al. 2021, arXiv 2010.11929, figure 7).

    Grey is 0, and each tile has its own scale: the largest absolute value is black or white (or
    pure colour, with three channels).

    Raises:
        InputError: the result holds no filters.
    """
    if "filters" not in dataset:
        why = dataset.attrs.get("no_filters", "not a result of vitprobe.maps or vitprobe.features")
        raise InputError(f"cannot plot filters: {why}")
    dims = ("channel", "filter_row", "filter_col")
    filters = filter_colours(dataset["filters"].transpose("filter", *dims).values)
    rows, columns = filters.shape[1:3]
    details = [f"{rows} x {columns} pixels"]
    drawn, top = new_figure(), 0.0
    height, width = (TILE * side / max(rows, columns) for side in (rows, columns))
    total = COLUMNS * (TILE + GAP) - GAP
    if "components" in dataset:
        components = filter_colours(dataset["components"].transpose("component", *dims).values)
        share = dataset["component_variance"].values
        for k, tile in enumerate(components):
            row, column = divmod(k, COLUMNS)
            axes = bare_axes(drawn, column * (width + GAP), -row * (height + GAP), width, height)
            axes.imshow(tile, aspect="auto", interpolation="nearest")
            caption(axes, f"{share[k]:.1%}", size=6)
        total = COLUMNS * (width + GAP) - GAP
        top = -math.ceil(len(components) / COLUMNS) * (height + GAP) - 0.3
        details.append("principal components and their part of the variance")

    across = math.ceil(math.sqrt(MOSAIC * len(filters) * rows / columns))
    whole = np.nan_to_num(mosaic(filters, across), nan=1.0)
    tall = total * whole.shape[0] / whole.shape[1]
    axes = bare_axes(drawn, 0, top, total, tall)
    axes.imshow(whole, aspect="auto", interpolation="nearest")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"all {len(filters)} filters", fontsize=8, loc="left", pad=3)
    first = dataset.attrs.get("filters_of")
    of = f"the first convolution, {first}" if first else "the patch embedding"
    title = [str(dataset.attrs.get("model", "model")), f"filters of {of}"]
    if "components" not in dataset:
        details.append("grey is 0, each filter has its own scale")
    details += weights_facts(dataset.attrs, ["model"])
    heading(drawn, 0.22, total, title, details, text_measure(drawn))
    fit_canvas(drawn)
    return drawn


def filter_colours(filters: np.ndarray) -> np.ndarray:
    """(K, C, height, width) -> (K, height, width, 3) in 0..1, 0.5 for 0."""
    if filters.shape[1] != 3:
        filters = filters.mean(1, keepdims=True).repeat(3, axis=1)
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    scaled = filters / np.where(largest > 0, largest, 1)
    return (0.5 + 0.5 * scaled).transpose(0, 2, 3, 1)
