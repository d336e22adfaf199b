"""What the figures of receptive fields are made of: a map as a tile, and radii along the layers."""

from collections.abc import Sequence

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from vitprobe.errors import InputError
from vitprobe.figures.style import PLAIN, add_axes
from vitprobe.figures.tiles import bare_axes, caption

COLOURS = {"r50": "#d6604d", "r90": "#2166ac"}
SHARES = {"r50": "50 %", "r90": "90 %"}
BOX = "#1b7837"
ON_MAP = "#7fffd4"  # of lines on a map, which is black to white
GREY = "0.85"


def check(dataset: xarray.Dataset) -> None:
    """Raises InputError for what holds no receptive fields."""
    if "map" not in dataset or "r50" not in dataset or not dataset["map"].size:
        raise InputError("cannot plot this result: it holds no receptive fields; compute it again")


def distinct(dataset: xarray.Dataset) -> xarray.Dataset:
    """Without layers whose very tensor is that of another one that is shown."""
    names = [str(name) for name in dataset["layer"].values]
    twins = [str(twin) for twin in dataset["twin"].values]
    kept = [k for k, twin in enumerate(twins) if twin not in names]
    return dataset.isel(layer=kept).transpose("layer", "row", "col", ...)


def tile(figure: Figure, one: xarray.Dataset, left: float, top: float, side: float) -> Axes:
    """One layer's map, hanging from a place given in inches: the longer side is `side` long.

    Colours are the square root of the map over its largest value. On it the circles of 50 and 90 %
    of the mass, and the theoretical box where it ends within the image.
    """
    values = one["map"].values
    scale = side / max(values.shape)
    axes = bare_axes(figure, left, top, values.shape[1] * scale, values.shape[0] * scale)
    if not np.isfinite(values).all():
        axes.set_facecolor(GREY)
        axes.text(0.5, 0.5, "no value", ha="center", va="center", fontsize=6.5,
                  transform=axes.transAxes, **PLAIN)  # fmt: skip
        return axes
    shown = np.sqrt(values / values.max())
    axes.imshow(shown, cmap="magma", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set(xlim=(-0.5, values.shape[1] - 0.5), ylim=(values.shape[0] - 0.5, -0.5))
    row, column = float(one["point_row"]), float(one["point_col"])
    for name, style in (("r50", "-"), ("r90", "--")):
        around = (column, row), float(one[name])
        axes.add_patch(Circle(*around, fill=False, color=ON_MAP, linewidth=0.6, linestyle=style))
    box = float(one["box"])
    if box < max(values.shape):
        corner = column - box / 2, row - box / 2
        square = Rectangle(corner, box, box, fill=False, color="white", linewidth=0.6)
        axes.add_patch(square)
    return axes


def radii_caption(axes: Axes, one: xarray.Dataset) -> None:
    """Both radii, below a tile."""
    if np.isfinite(one["r50"]):
        caption(axes, f"{_px(float(one['r50']))} / {_px(float(one['r90']))}", below=True)


def _px(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def uniform_radii(shape: tuple[int, int], points: Sequence[tuple[float, float]]) -> np.ndarray:
    """(points, 2): within which distances 50 and 90 % of an image lie."""
    found = []
    for row, column in points:
        rows, columns = np.arange(shape[0]) - row, np.arange(shape[1]) - column
        distances = np.sort(np.hypot(rows[:, None], columns).ravel())
        found.append([distances[int(np.ceil(share * len(distances))) - 1] for share in (0.5, 0.9)])
    return np.array(found)


def colour_bar(figure: Figure, left: float, bottom: float, height: float) -> None:
    """What the colours of all tiles mean."""
    axes = add_axes(figure, left, bottom, 0.1, height)
    shades = np.linspace(1, 0, 128)[:, None]
    axes.imshow(shades, cmap="magma", vmin=0, vmax=1, aspect="auto", extent=(0, 1, 0, 1))
    ticks = [0.0, 0.05, 0.25, 0.5, 1.0]
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks([tick**0.5 for tick in ticks], ["0", "5 %", "25 %", "50 %", "largest"])
    axes.tick_params(labelsize=6.5, length=2, width=0.4, pad=1.5)
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)
