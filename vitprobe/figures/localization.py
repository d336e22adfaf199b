"""Maps of tokens over the image, each at its token's place: which patches each token is like."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle

from vitprobe.errors import InputError
from vitprobe.figures.facts import data_of
from vitprobe.figures.heatmap import BLANK
from vitprobe.figures.style import POINTS, add_axes, fit_canvas, new_figure, text_measure
from vitprobe.figures.tiles import bare_axes, caption, heading
from vitprobe.figures.weights import weights_facts

MOST = 8  # tokens along a side; of more, as many that lie evenly
SIDE = 4.6  # inches: the longer side of all tiles
GAP = 0.05  # inches between tiles
LARGEST = 1.15  # inches: a tile's longer side
MARK = {"edgecolor": "#2ee6ff", "linewidth": 0.9, "facecolor": "none"}
LEAST_MARK = 3.0  # pt: where patches are small, the mark is larger than its patch
COLOURS = {"cmap": "magma", "vmin": 0, "interpolation": "nearest"}
FRAME = {"edgecolor": "black", "linewidth": 0.4, "facecolor": "none", "clip_on": False}
NOT_ASKED = "not asked for"  # as a reason of `blank_token`
TEXT = 7.0  # pt


def figure(dataset: xarray.Dataset, *, title: str | None = None) -> Figure:
    """A result of `vitprobe.localization`: a map of CKA with all patches for each token.

    As in Raghu et al. 2021 (arXiv 2108.08810), figures 9 and 10. Tiles lie as their tokens do; the
    token's own place is outlined; all have one scale, from 0. The class token, where there is one,
    has a map of its own. title: instead of model, data and the two numbers.

    Raises:
        InputError: the result holds no maps of tokens.
    """
    check(dataset)
    drawn = new_figure()
    measure = text_measure(drawn)
    top = highest([dataset])
    tiles = Tiles.of(dataset, SIDE, MOST)
    image = tiles.draw(drawn, 0, 0, top)
    beside = tiles.width + 0.22
    bar_top = 0.0
    if "cka_cls" in dataset:
        width, height = tiles.tile
        scale = min(1.6, LARGEST / max(tiles.tile))
        axes = bare_axes(drawn, beside, 0, scale * width, scale * height)
        axes.patch.set(**BLANK)
        axes.imshow(masked(dataset["cka_cls"].values), aspect="auto", **COLOURS, vmax=top)
        caption(axes, "class token", size=TEXT)
        bar_top = -scale * height - 0.15
    length = min(2.0, max(tiles.height + bar_top, 1.0))
    add_bar(drawn, image, beside, bar_top, length)
    if has_blanks([dataset]):
        add_blank(drawn, beside, bar_top - length - 0.12)
    said = [str(dataset.attrs.get("model", "model")), *numbers(dataset)]
    details = [*data_of([dataset], " / "), *facts(dataset), *tiles.shown, *LEGEND]
    details += weights_facts(dataset.attrs, ["model"])
    said = said if title is None else [title]
    heading(drawn, 0.36, max(tiles.width + 1.2, 3.4), said, details, measure)
    fit_canvas(drawn)
    return drawn


LEGEND = ("outlined: the token's own place",)


def check(dataset: xarray.Dataset) -> None:
    """Raises InputError where the result holds no maps of tokens."""
    dims = {"token_row", "token_col", "row", "col"}
    if "cka" not in dataset or set(dataset["cka"].dims) != dims or not dataset["cka"].size:
        raise InputError("cannot plot this result: it has no 'cka' over tokens and patches")


def highest(datasets: Sequence[xarray.Dataset]) -> float:
    """Where the scale of all of them ends: the largest CKA; 1 where there is none above 0."""
    named = [each[name].values for each in datasets for name in ("cka", "cka_cls") if name in each]
    found = np.concatenate([values.ravel() for values in named])
    found = found[np.isfinite(found)]
    return float(found.max()) if found.size and found.max() > 0 else 1.0


def has_blanks(datasets: Sequence[xarray.Dataset]) -> bool:
    """Whether a patch or a token that was asked for has no value."""
    return any(
        (each["cka"].isnull() & (each["blank_token"] != NOT_ASKED)).any().item()
        for each in datasets
    )


def numbers(dataset: xarray.Dataset) -> list[str]:
    """`own_place` and `mean_distance` in words."""
    own, far = (float(dataset[name]) for name in ("own_place", "mean_distance"))
    if np.isnan(own):
        return ["no token's own patch has a value"]
    one = "patch" if f"{far:.2g}" == "1" else "patches"
    return [
        f"own patch most similar for {100 * own:.0f} % of tokens",
        f"mean distance {far:.2g} {one}",
    ]


def facts(dataset: xarray.Dataset) -> list[str]:
    """The layer, its grid, and what patches drawn at random would give."""
    attrs = dataset.attrs
    grid = f"{dataset.sizes['row']} x {dataset.sizes['col']} patches"
    size = " x ".join(f"{float(attrs[f'patch_{side}']):.3g}" for side in ("height", "width"))
    said = [f"output of {attrs.get('layer', 'a layer')}", f"{grid} of {size} px"]
    own, far = (float(dataset[f"{name}_chance"]) for name in ("own_place", "mean_distance"))
    if not np.isnan(own):
        said.append(f"at random: {100 * own:.2g} %, {far:.2g} patches")
    return said


def masked(values: np.ndarray) -> np.ma.MaskedArray:
    """Without blanks."""
    return np.ma.masked_invalid(values)


def add_bar(drawn: Figure, image: AxesImage, left: float, top: float, length: float) -> None:
    """The scale, hanging from a place given in inches."""
    bar = drawn.colorbar(image, cax=add_axes(drawn, left, top - length, 0.12, length))
    bar.outline.set_linewidth(0.5)
    bar.ax.tick_params(labelsize=TEXT, length=2, width=0.5)
    bar.ax.locator_params(nbins=5)
    bar.set_label("CKA with the patch's pixels", fontsize=TEXT + 0.5)


def add_blank(drawn: Figure, left: float, top: float) -> None:
    """What hatching means, hanging from a place given in inches."""
    axes = add_axes(drawn, left, top, 0.01, 0.01)
    axes.set_axis_off()
    axes.legend(
        handles=[Patch(label="blank (see\nblank_patch)", **BLANK)],
        loc="upper left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0,
        borderpad=0,
        frameon=False,
        fontsize=TEXT,
        handlelength=1.2,
    )


@dataclass(frozen=True)
class Tiles:
    """The maps of some of a result's tokens: those in rows `down` and columns `across` of its
    coordinates. tile: width and height of one, inches."""

    dataset: xarray.Dataset
    down: list[int]
    across: list[int]
    tile: tuple[float, float]

    @classmethod
    def of(cls, dataset: xarray.Dataset, side: float, most: int) -> "Tiles":
        """At most `most` along each side, the longer one at most `side` inches."""
        dataset = dataset.transpose("token_row", "token_col", "row", "col")
        down, across = (evenly(dataset.sizes[f"token_{axis}"], most) for axis in ("row", "col"))
        height, width = (
            dataset.sizes[axis] * float(dataset.attrs.get(f"patch_{name}", 1))
            for axis, name in (("row", "height"), ("col", "width"))
        )
        room = side / max(len(down) * height, len(across) * width)
        room = min(room, LARGEST / max(height, width))
        return cls(dataset, down, across, (room * width - GAP, room * height - GAP))

    @property
    def width(self) -> float:
        """Of all tiles, inches."""
        return len(self.across) * (self.tile[0] + GAP) - GAP

    @property
    def height(self) -> float:
        """Of all tiles, inches."""
        return len(self.down) * (self.tile[1] + GAP) - GAP

    @property
    def shown(self) -> list[str]:
        """What is left out, in words."""
        there = self.dataset["blank_token"].values != NOT_ASKED
        shown = there[np.ix_(self.down, self.across)].sum()
        return [f"{shown} of {there.sum()} tokens"] if shown < there.sum() else []

    def draw(self, drawn: Figure, left: float, top: float, highest: float) -> AxesImage:
        """All maps, hanging from a place given in inches; numbers of rows and columns beside.

        They share one pair of axes, in inches from its upper left corner.
        """
        axes = add_axes(drawn, left, top - self.height, self.width, self.height)
        width, height = self.tile
        values, asked = self.dataset["cka"].values, self.dataset["blank_token"].values
        rows, columns = (self.dataset[f"token_{axis}"].values for axis in ("row", "col"))
        for i, row in enumerate(self.down):
            for j, column in enumerate(self.across):
                if asked[row, column] == NOT_ASKED:
                    continue
                x, y = j * (width + GAP), i * (height + GAP)
                axes.add_patch(Rectangle((x, y), width, height, **BLANK))
                image = axes.imshow(
                    masked(values[row, column]),
                    extent=(x, x + width, y + height, y),
                    vmax=highest,
                    **COLOURS,
                )
                axes.add_patch(Rectangle((x, y), width, height, **FRAME))
                axes.add_patch(self._mark(x, y, rows[row], columns[column]))
        axes.set(xlim=(0, self.width), ylim=(self.height, 0), aspect="auto")
        axes.set_axis_off()
        texts = {"fontsize": TEXT, "ha": "center", "va": "bottom"}
        for j, column in enumerate(self.across):
            axes.text(j * (width + GAP) + width / 2, -0.04, columns[column], **texts)
        axes.text(self.width / 2, -0.17, "column of the token", **texts)
        texts |= {"ha": "right", "va": "center"}
        for i, row in enumerate(self.down):
            axes.text(-0.05, i * (height + GAP) + height / 2, rows[row], **texts)
        axes.text(-0.2, self.height / 2, "row of the token", rotation=90, **texts)
        return image

    def _mark(self, x: float, y: float, row: int, column: int) -> Rectangle:
        """The outline of one patch of the map whose upper left corner is at x, y."""
        (width, height), sizes = self.tile, self.dataset.sizes
        across, down = width / sizes["col"], height / sizes["row"]
        wide, high = (max(side, LEAST_MARK / POINTS) for side in (across, down))
        corner = x + (column + 0.5) * across - wide / 2, y + (row + 0.5) * down - high / 2
        return Rectangle(corner, wide, high, clip_on=False, **MARK)


def evenly(count: int, most: int) -> list[int]:
    """Of so many places at most `most`, first and last among them."""
    if count <= most:
        return list(range(count))
    return np.linspace(0, count - 1, most).round().astype(int).tolist()
