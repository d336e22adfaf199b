"""Feature maps of one image: a row for each layer, its channel mean and its strongest channels."""

import math
import re
from collections.abc import Callable

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprobe.errors import InputError
from vitprobe.figures.names import short_names
from vitprobe.figures.style import (
    PLAIN,
    POINTS,
    Measure,
    add_axes,
    fit_canvas,
    new_figure,
    text_measure,
    wrap,
)
from vitprobe.figures.tiles import bare_axes, caption, heading
from vitprobe.figures.weights import weights_facts

WIDTH = 6.8  # inches, without margins
NAMES = 1.0  # inches for the layers' names
ACROSS, ABOVE, BELOW = 0.06, 0.14, 0.17  # inches between tiles, and for the texts around one
LARGEST = 0.95  # inches: a map's longer side
MOST_LINES = 20  # of maps, in one figure
MOST_TILES = 9  # in a line: the mean and the eight strongest
COLOURS = "viridis"

Fits = Callable[[str], bool]


def figure(dataset: xarray.Dataset, image: int = 0, *, title: str | None = None) -> Figure:
    """One image of a result of `vitprobe.features`, the first unless `image` says which.

    On top the image; then a row for each layer (or evenly spaced ones, if there are many)
    with the mean over its channels and the channels that respond most, strongest first. Each map
    is as the network computed it, a cell a position, and has its own scale: from its smallest
    value to its largest, which stand below it. title: instead of model, data and image.

    Raises:
        InputError: the result holds no feature maps, or no such image.
    """
    if "top" not in dataset or not dataset["top"].size:
        raise InputError("cannot plot this result: it holds no feature maps; compute it again")
    if not 0 <= image < dataset.sizes["image"]:
        raise InputError(f"no image {image} in this result: it holds {dataset.sizes['image']}")
    one = dataset.isel(image=image).transpose("layer", "rank", "row", "col", ...)
    picture = one["picture"].transpose("y", "x", "rgb").values
    count = one.sizes["layer"]
    names = [str(name) for name in one["layer"].values]

    drawn = new_figure()
    measure = text_measure(drawn)
    ranks = one.sizes["rank"]
    tiles = min(1 + ranks, MOST_TILES)
    side = min(LARGEST, (WIDTH - NAMES) / MOST_TILES - ACROSS)
    scale = side / max(picture.shape[:2])
    height, width = picture.shape[0] * scale, picture.shape[1] * scale
    step = max(width, side) + ACROSS
    lines = -(-ranks // (tiles - 1))
    shown = shown_layers(count, max(1, MOST_LINES // lines))

    axes = bare_axes(drawn, NAMES, 0, width, height)
    grey = picture if picture.shape[-1] == 3 else picture[..., 0]
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="nearest")
    caption(axes, "as the model sees it", below=True)
    _add_bar(drawn, NAMES + 2 * step, height)
    top = -height - BELOW - ABOVE - 0.12
    short = short_names([names[k] for k in shown], NAMES * POINTS - 6, lambda t: measure(t, 7)[0])
    for layer, name in zip(shown, short, strict=True):
        rows, columns = int(one["rows"].values[layer]), int(one["cols"].values[layer])
        channels = int(one["channels"].values[layer])
        blank = str(one["blank"].values[layer])
        said = [name, f"{channels:,} ch, {rows} x {columns}", *([blank] if blank else [])]
        _name(drawn, top, height, said, measure)
        inside = slice(None, rows), slice(None, columns)
        maps = [("mean", one["channel_mean"].values[layer][inside])]
        for rank, channel in enumerate(one["top_channel"].values[layer].tolist()):
            if channel >= 0:
                maps.append((f"channel {channel}", one["top"].values[layer, rank][inside]))
        for place, (word, values) in enumerate(maps):
            line, column = divmod(place - 1, tiles - 1) if place else (0, -1)
            down = line * (height + ABOVE + BELOW)
            axes = bare_axes(drawn, NAMES + (column + 1) * step, top - down, width, height)
            _draw(axes, word, values, lambda text: measure(text, 6)[0] < step * POINTS)
        top -= lines * (height + ABOVE + BELOW) + 0.03
    said, details = _texts(dataset, image, len(shown), count)
    heading(drawn, 0.1, WIDTH, said if title is None else [title], details, measure)
    fit_canvas(drawn)
    return drawn


def shown_layers(count: int, most: int) -> list[int]:
    """All layers, or `most` of them: the first, the last and evenly those between."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()


def _draw(axes: Axes, word: str, values: np.ndarray, fits: Fits) -> None:
    """One map from its smallest value to its largest; what is not finite stays white."""
    finite = values[np.isfinite(values)]
    caption(axes, word)
    if not finite.size:
        caption(axes, "not finite", below=True, size=6)
        return
    low, high = float(finite.min()), float(finite.max())
    axes.imshow(
        np.ma.masked_invalid(values),
        cmap=COLOURS,
        vmin=low,
        vmax=high if high > low else low + 1,
        aspect="auto",
        interpolation="nearest",
    )
    caption(axes, value_range(low, high, fits), below=True, size=6)


def value_range(low: float, high: float, fits: Fits) -> str:
    """`0 to 2.5`; of a constant map its value. With as many digits as tell the two apart, and more
    where they fit."""
    if low == high:
        return _number(f"{low:.2g}")
    largest = max(abs(low), abs(high))
    first = math.floor(math.log10(min(high - low, largest)))
    for digits in (2, 1):
        decimals = max(0, digits - 1 - first)
        if 1e-3 <= largest < 1e5 and decimals <= 4:
            texts = [f"{value:.{decimals}f}" if value else "0" for value in (low, high)]
        else:
            texts = [f"{value:.{digits - 1}e}" if value else "0" for value in (low, high)]
        text = " to ".join(map(_number, texts))
        if fits(text):
            break
    return text


def _number(text: str) -> str:
    """With a minus sign, and short: 2e-5."""
    text = re.sub(r"e([+-])0*", lambda found: "e" + found[1].strip("+"), text)
    return re.sub(r"^-(?=[\d.]*[1-9])|(?<=e)-", "\N{MINUS SIGN}", text).lstrip("-")


def _name(drawn: Figure, top: float, height: float, lines: list[str], measure: Measure) -> None:
    """The layer's name, and below it in grey what it is, left of its maps."""
    axes = add_axes(drawn, 0, top - height / 2, 0.01, 0.01)
    axes.set_axis_off()
    broken = [lines[0]]
    for line in lines[1:]:
        broken += wrap([line], NAMES * POINTS - 6, 6.5, measure)
    above = 5.0 * len(broken)
    for place, line in enumerate(broken):
        axes.annotate(
            line,
            xy=(0, 0),
            xycoords="axes fraction",
            xytext=(0, above - 10 * place),
            textcoords="offset points",
            va="top",
            fontsize=6.5 if place else 7,
            color="0.35" if place else "black",
            annotation_clip=False,
            **PLAIN,
        )


def _texts(
    dataset: xarray.Dataset, image: int, shown: int, count: int
) -> tuple[list[str], list[str]]:
    attrs = dataset.attrs
    title = [str(attrs.get("model", "model")), str(attrs.get("dataset", ""))]
    title.append(f"image {dataset['image'].values[image]}")
    details = ["feature maps as computed: mean over channels, then the channels that respond most"]
    if shown < count:
        details.append(f"{shown} of {count} layers")
    details += weights_facts(attrs, ["model"])
    return [part for part in title if part], details


def _add_bar(drawn: Figure, left: float, height: float) -> None:
    """What the colours mean; each map has its own two numbers."""
    axes = add_axes(drawn, left, -0.5 * height - 0.05, 1.6, 0.1)
    axes.imshow(np.linspace(0, 1, 256)[None], cmap=COLOURS, aspect="auto")
    axes.set_yticks([])
    axes.set_xticks([0, 255], labels=["smallest value", "largest value of the map"])
    axes.tick_params(labelsize=6.5, length=2, width=0.4)
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)
