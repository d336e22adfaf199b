"""Small pictures in rows: maps over an image, and mosaics of many patches in one."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from vitprobe.figures.style import PLAIN, POINTS, Measure, add_axes, wrap

GREY = np.array([0.299, 0.587, 0.114])  # luminance of R, G, B
FAINT = (0.25, 0.75)  # greys of black and white under a map, whose colours must stay readable
STRENGTH = 0.7  # opacity of a map over its image


def bilinear(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """(rows, columns) -> (height, width), values at the centres of the cells."""
    return _between(values.shape[0], height) @ values @ _between(values.shape[1], width).T


def bare_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes without ticks, hanging from a place given in inches."""
    axes = add_axes(figure, left, top - height, width, height)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)
    return axes


def draw_over(axes: Axes, picture: np.ndarray, values: np.ndarray) -> AxesImage:
    """A map (rows, columns) over a picture (y, x, 1 or 3) uint8 in grey; 0 to the map's maximum."""
    shades = picture / 255
    shades = shades @ GREY if shades.shape[-1] == 3 else shades[..., 0]
    shades = FAINT[0] + (FAINT[1] - FAINT[0]) * shades
    axes.imshow(shades, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    largest = np.nanmax(values) if np.isfinite(values).any() else 0
    over = bilinear(values / (largest or 1), *shades.shape)
    return axes.imshow(
        over, cmap="magma", vmin=0, vmax=1, alpha=STRENGTH, aspect="auto", interpolation="nearest"
    )


def caption(axes: Axes, text: str, *, below: bool = False, size: float = 6.5) -> None:
    """A short text above the axes, or below them."""
    axes.annotate(
        text,
        xy=(0.5, 0 if below else 1),
        xycoords="axes fraction",
        xytext=(0, -2 if below else 2),
        textcoords="offset points",
        ha="center",
        va="top" if below else "bottom",
        fontsize=size,
        color="0.35" if below else "black",
        annotation_clip=False,
        **PLAIN,
    )


def heading(
    figure: Figure,
    top: float,
    width: float,
    title: Sequence[str],
    details: Sequence[str],
    measure: Measure,
) -> None:
    """The title's parts and, below it, the details, above `top` (inches); broken to `width`."""
    axes = add_axes(figure, 0, top, width, 0.01)
    axes.set_axis_off()
    above = 0.0  # pt
    for parts, size, colour in ((details, 7.5, "0.3"), (title, 10.5, "black")):
        for line in reversed(wrap(parts, max(width, 3.6) * POINTS, size, measure)):
            axes.annotate(
                line,
                xy=(0, 0),
                xycoords="axes fraction",
                xytext=(0, above),
                textcoords="offset points",
                va="bottom",
                fontsize=size,
                color=colour,
                annotation_clip=False,
                **PLAIN,
            )
            above += 1.45 * size


def mosaic(patches: np.ndarray, columns: int) -> np.ndarray:
    """Patches (K, height, width, ...) side by side in rows with a gap of one NaN between them."""
    rows = math.ceil(len(patches) / columns)
    height, width = patches.shape[1:3]
    shape = (rows * (height + 1) - 1, columns * (width + 1) - 1, *patches.shape[3:])
    whole = np.full(shape, np.nan)
    for k, patch in enumerate(patches):
        y, x = (k // columns) * (height + 1), (k % columns) * (width + 1)
        whole[y : y + height, x : x + width] = patch
    return whole


def _between(cells: int, pixels: int) -> np.ndarray:
    """(pixels, cells): what each cell counts at each pixel, by linear interpolation."""
    places = (np.arange(pixels) + 0.5) * cells / pixels - 0.5
    return np.stack([np.interp(places, np.arange(cells), unit) for unit in np.eye(cells)], axis=1)
