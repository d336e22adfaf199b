"""Dots in the cells of a map that are no more than chance."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from vitprobe.figures.style import POINTS

_SHARE = 0.3  # of a cell's side: the dot in it
_SIZES = (0.9, 4.0)  # pt: a dot, least and most
_BRIGHT = 0.5  # of a cell's colour, from which on the dot is black


def draw_dots(axes: Axes, image: AxesImage, under: np.ndarray) -> None:
    """A dot in every cell under its line: white on dark colours, black on bright ones."""
    box = axes.get_window_extent()
    side = min(box.width / under.shape[1], box.height / under.shape[0])
    size = float(np.clip(_SHARE * side * POINTS / axes.figure.dpi, *_SIZES))
    rows, columns = np.nonzero(under)
    colours = image.to_rgba(image.get_array()[rows, columns])[:, :3]
    bright = colours @ (0.299, 0.587, 0.114) > _BRIGHT
    for some, colour in ((~bright, "white"), (bright, "black")):
        if some.any():
            axes.plot(columns[some], rows[some], **_dot(colour, size), scalex=False, scaley=False)


def legend_entry() -> tuple[tuple[Patch, Line2D], str]:
    """Handle and label of what is dotted."""
    ground = Patch(facecolor="0.25", linewidth=0)
    return (ground, Line2D([], [], **_dot("white", 2.5))), "no more than chance (5 % line)"


def _dot(colour: str, size: float) -> dict:
    return {"marker": "o", "linestyle": "", "markersize": size, "color": colour, "mew": 0}
