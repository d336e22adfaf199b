"""One page of all analyses of a run: the first map of similarities, and everything else against
depth."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprobe.figures.heatmap import BLANK, draw_map
from vitprobe.figures.names import short_names
from vitprobe.figures.style import PLAIN, add_axes, fit_canvas, new_figure, side_legend

SIDE = (2.5, 2.0)  # inches of a panel, across and up
GAP = (0.85, 0.8)
COLUMNS = 3
LONGEST = 34  # characters of a name


def overview(results: Mapping[str, Sequence[xarray.Dataset]]) -> Figure | None:
    """results: of one run, for each analysis. None: there is nothing to draw.

    Depth is relative: 0 is the first layer that an analysis has of a model, 1 the last.
    """
    panels = [(name, draw) for name, draw in _PANELS.items() if results.get(name)]
    if not panels:
        return None
    models = list(dict.fromkeys(
        str(each.attrs["model"]) for of_one in results.values() for each in of_one
        if "model" in each.attrs
    ))  # fmt: skip
    map_of = matplotlib.colormaps["tab10" if len(models) <= 10 else "tab20"].colors
    colours = {model: map_of[k % len(map_of)] for k, model in enumerate(models)}
    figure = new_figure()
    for place, (name, draw) in enumerate(panels):
        row, column = divmod(place, COLUMNS)
        left, bottom = column * (SIDE[0] + GAP[0]), -row * (SIDE[1] + GAP[1])
        axes = add_axes(figure, left, bottom, *SIDE)
        axes.tick_params(labelsize=7, length=2.5, width=0.5)
        draw(axes, results[name], colours)
    across = min(len(panels), COLUMNS) * (SIDE[0] + GAP[0]) - GAP[0]
    beside = add_axes(figure, across + 0.25, 0, 0.1, SIDE[1])
    beside.set_axis_off()
    names = short_names(models, LONGEST, len)
    for name, colour in zip(names, colours.values(), strict=True):
        beside.plot([], [], color=colour, label=name)
    side_legend(beside, "models")
    fit_canvas(figure)
    return figure


def _map(axes: Axes, results: Sequence[xarray.Dataset], colours: Mapping) -> None:
    result = results[0]
    draw_map(axes, result["cka"].values)
    axes.patch.set(**BLANK)
    axes.set_xticks([0, result.sizes["layer_b"] - 1])
    axes.set_yticks([0, result.sizes["layer_a"] - 1])
    _words(axes, "CKA of layers (0 dark, 1 light)", str(result.attrs["model_b"]))
    axes.set_ylabel(_short(str(result.attrs["model_a"])), fontsize=7.5, **PLAIN)


def _heads(axes: Axes, results: Sequence[xarray.Dataset], colours: Mapping) -> None:
    for result in results:
        values = result["distance"].values
        depth = np.repeat(_depth(len(values))[:, None], values.shape[1], 1)
        colour = colours[result.attrs["model"]]
        axes.plot(depth.ravel(), values.ravel(), ".", color=colour, markersize=4)
    _words(axes, "attention distance of heads (px)")


def _ratios(axes: Axes, results: Sequence[xarray.Dataset], colours: Mapping) -> None:
    for result in results:
        for group, style in (("patches", "-"), ("cls", "--")):
            if group in result["group"].values:
                here = result.sel(group=group)
                _line(axes, result, here["ratio"].values, here["ratio_se"].values, colours, style)
    axes.set_yscale("log")
    axes.axhline(1, color="0.7", linewidth=0.6, zorder=0)
    _words(axes, "|skip| / |branch| (dashed: class token)")


def _radii(axes: Axes, results: Sequence[xarray.Dataset], colours: Mapping) -> None:
    for result in results:
        _line(axes, result, result["r50"].values, result["r50_se"].values, colours)
    axes.set_ylim(bottom=0)
    _words(axes, "half of the gradient lies within (px)")


def _places(axes: Axes, results: Sequence[xarray.Dataset], colours: Mapping) -> None:
    shares = [100 * float(result["own_place"]) for result in results]
    chances = [100 * float(result["own_place_chance"]) for result in results]
    places = np.arange(len(results))
    shades = [colours[result.attrs["model"]] for result in results]
    axes.bar(places, shares, color=shades, width=0.6)
    for place, chance in zip(places, chances, strict=True):
        axes.plot([place - 0.4, place + 0.4], [chance] * 2, color="black", linewidth=1)
    axes.set_xticks([])
    _words(axes, "tokens most like their own patch (%)", "last block; line: by chance")


def _shares(axes: Axes, results: Sequence[xarray.Dataset], colours: Mapping) -> None:
    for result in results:
        values, errors = result["first_share"].values, result["first_share_se"].values
        _line(axes, result, values, errors, colours)
    axes.set_ylim(0, 1)
    _words(axes, "variance of the first component")


def _known(axes: Axes, results: Sequence[xarray.Dataset], colours: Mapping) -> None:
    for result in results:
        _line(axes, result, result["accuracy"].values, result["accuracy_se"].values, colours)
    axes.axhline(results[0].attrs["chance"], color="0.7", linewidth=0.6, zorder=0)
    axes.set_ylim(0, 1.03)
    _words(axes, "accuracy of probes (line: chance)")


_PANELS: dict[str, Callable] = {
    "cka": _map,
    "attention": _heads,
    "skips": _ratios,
    "receptive_field": _radii,
    "localization": _places,
    "dominant": _shares,
    "probe": _known,
}


def _line(axes: Axes, result, values, errors, colours: Mapping, style: str = "-") -> None:
    colour = colours[result.attrs["model"]]
    there = np.isfinite(values)
    errors = np.where(np.isfinite(errors), errors, 0)
    options = {"color": colour, "linestyle": style, "linewidth": 1, "elinewidth": 0.6}
    depth = _depth(len(values))
    axes.errorbar(depth[there], values[there], errors[there], marker=".", markersize=4, **options)


def _depth(count: int) -> np.ndarray:
    return np.arange(count) / max(count - 1, 1)


def _words(axes: Axes, title: str, across: str = "relative depth") -> None:
    axes.set_title(title, fontsize=8, loc="left", **PLAIN)
    axes.set_xlabel(_short(across), fontsize=7.5, **PLAIN)


def _short(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
