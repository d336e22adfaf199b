"""How similar the position embedding of each patch is to that of every other."""

import math

import numpy as np
import xarray
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.style import add_axes, fit_canvas, new_figure, text_measure
from vitprobe.figures.tiles import heading, mosaic
from vitprobe.figures.weights import weights_facts

MOST = 16  # patches along a side; of a larger grid every second, third, ... is shown
LONG_SIDE = 5.0  # inches


def position_figure(dataset: xarray.Dataset) -> Figure:
    """One small map for each patch, at the patch's place: its cosine with all patches, -1 to 1.

    As in Dosovitskiy et al. 2021 (arXiv 2010.11929), figure 7.

    Raises:
        InputError: the result of `vitprobe.maps` holds no position embedding.
    """
    if "position_similarity" not in dataset:
        why = dataset.attrs.get("no_position_similarity", "not a result of vitprobe.maps")
        raise InputError(f"cannot plot position embeddings: {why}")
    values = dataset["position_similarity"].transpose("row", "col", "row2", "col2").values
    rows, columns = values.shape[:2]
    step = math.ceil(max(rows, columns) / MOST)
    shown = values[::step, ::step]
    whole = mosaic(shown.reshape(-1, rows, columns), shown.shape[1])

    drawn = new_figure()
    scale = LONG_SIDE / max(whole.shape)
    width, height = whole.shape[1] * scale, whole.shape[0] * scale
    axes = add_axes(drawn, 0, 0, width, height)
    image = axes.imshow(
        np.ma.masked_invalid(whole), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="none"
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
    across, up = np.arange(shown.shape[1]), np.arange(shown.shape[0])
    axes.set_xticks(across * (columns + 1) + (columns - 1) / 2, across * step)
    axes.set_yticks(up * (rows + 1) + (rows - 1) / 2, up * step)
    axes.tick_params(labelsize=7, length=0)
    axes.set_xlabel("column of the patch", fontsize=8)
    axes.set_ylabel("row of the patch", fontsize=8)
    bar = drawn.colorbar(image, cax=add_axes(drawn, width + 0.15, 0, 0.14, height))
    bar.outline.set_linewidth(0.6)
    bar.ax.tick_params(labelsize=7, length=2, width=0.5)
    bar.set_label("cosine of position embeddings", fontsize=8)
    details = [f"{rows} x {columns} patches"]
    if step > 1:
        details.append(f"one map in {step} along each side")
    details += weights_facts(dataset.attrs, ["model"])
    title = [str(dataset.attrs.get("model", "model")), "position embeddings"]
    heading(drawn, height + 0.1, width, title, details, text_measure(drawn))
    fit_canvas(drawn)
    return drawn
