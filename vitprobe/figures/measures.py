"""The maps of several measures of one pair of models beside each other.

Each is drawn as the map of CKA: first layers in the lower left corner. Lighter is closer, also of
distances, whose scale is turned round.
"""

import math
from collections.abc import Sequence

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitprobe.errors import InputError, did_you_mean, option
from vitprobe.figures.cka_sides import ROUNDING, layers_of
from vitprobe.figures.facts import data_of, method_of
from vitprobe.figures.heatmap import (
    BLANK,
    Layers,
    add_bar,
    draw_map,
    map_size,
    set_ticks,
)
from vitprobe.figures.labels import TickLabels, shorten, shorten_names, tick_labels
from vitprobe.figures.style import (
    PLAIN,
    POINTS,
    Measure,
    add_axes,
    add_line,
    fit_canvas,
    new_figure,
    text_measure,
    wrap,
)
from vitprobe.text import printable

COLUMNS = 4  # maps beside each other, at most
SIDE = 2.3  # inches: a map's longer side, at most
BAR = (0.11, 0.07, 0.62)  # inches: the colour bar's width, its distance, room for its numbers
ABOVE = 0.3  # inches, for the name of a map
SIZE = 7.0  # pt, of tick labels, at most
LONGEST = 80.0  # pt, of a layer's name
LEAST = 3.6  # inches that the lines above may take


def figure(
    dataset: xarray.Dataset, *, title: str | None = None, measure: Sequence[str] | None = None
) -> Figure:
    """Of a result of `vitprobe.cka` with several measures the map of each.

    title: instead of what was done. measure: those to draw, as they were asked for; None: all.

    Raises:
        InputError: it holds no such measure, or no layers.
    """
    names = _chosen(dataset, measure)
    rows, columns = layers_of(dataset, "a"), layers_of(dataset, "b")
    if not rows.names or not columns.names:
        raise InputError("cannot plot this result: it holds no layers; choose others with `layers`")
    drawn = new_figure()
    measured = text_measure(drawn)
    width, height = map_size(len(rows.names), len(columns.names))
    shrunk = min(1, SIDE / max(width, height))
    width, height = width * shrunk, height * shrunk
    across = min(COLUMNS, len(names), math.ceil(len(names) / math.ceil(len(names) / COLUMNS)))
    step = width + sum(BAR), height + ABOVE
    labels = _labels(rows, columns, width, height, measured)
    any_blank = False
    for place, name in enumerate(names):
        row, column = divmod(place, across)
        left, bottom = column * step[0], -(row + 1) * step[1]
        axes = add_axes(drawn, left, bottom, width, height)
        values = _values(dataset, name)
        any_blank |= not np.isfinite(values).all()
        lowest = place + across >= len(names)  # of its column
        _draw(axes, dataset[name], values, labels, column == 0, lowest)
        bar = add_axes(drawn, left + width + BAR[1], bottom, BAR[0], height)
        add_bar(bar, axes.images[0], values, "")
        room = (width + BAR[1] + BAR[0]) * POINTS
        over = step[0] * POINTS - 8  # the map, its bar and the bar's numbers
        axes.set_title(
            shorten(_name(dataset[name]), over, 8.5, measured),
            fontsize=8.5,
            pad=6,
            loc="left",
            **PLAIN,
        )
        if column == 0:
            axes.set_ylabel(shorten(rows.title, height * POINTS, 8, measured), fontsize=8, **PLAIN)
        if lowest:
            axes.set_xlabel(shorten(columns.title, room, 8, measured), fontsize=8, **PLAIN)
    _say(drawn, dataset, title, any_blank, across * step[0] - BAR[2], measured)
    fit_canvas(drawn)
    return drawn


def measures_in(dataset: xarray.Dataset) -> dict[str, str]:
    """The measures that a result holds: name of the variable -> as it was asked for."""
    found = {"cka": "cka"} if "cka" in dataset else {}
    for name in dataset.data_vars:
        if "measure" in dataset[name].attrs:
            found[str(name)] = printable(dataset[name].attrs["measure"])
    return found


def _chosen(dataset: xarray.Dataset, measure: Sequence[str] | None) -> list[str]:
    held = measures_in(dataset)
    if not held:
        raise InputError("cannot plot this result: it holds no measures; compute it again")
    if measure is None:
        return list(held)
    by_spec = {spec: name for name, spec in held.items()}
    asked = [measure] if isinstance(measure, str) else list(measure)
    for spec in asked:
        if spec not in by_spec:
            raise InputError(
                f"this result has no measure {spec!r}: {', '.join(by_spec)}"
                f"{did_you_mean(str(spec), by_spec)}; others are computed with "
                f"{option('measure')} of cka"
            )
    return [by_spec[spec] for spec in dict.fromkeys(asked)]


def _values(dataset: xarray.Dataset, name: str) -> np.ndarray:
    if set(dataset[name].dims) != {"layer_a", "layer_b"}:
        raise InputError(f"cannot plot this result: {name} is not over layer_a and layer_b")
    values = dataset[name].transpose("layer_a", "layer_b").values.astype(float)
    return np.where((values > 1) & (values <= 1 + ROUNDING), 1.0, values)


def _name(variable: xarray.DataArray) -> str:
    spec = printable(variable.attrs.get("measure", variable.name))
    return f"{spec} (distance)" if variable.attrs.get("distance", 0) else spec


def _draw(
    axes: Axes,
    variable: xarray.DataArray,
    values: np.ndarray,
    labels: tuple[TickLabels, TickLabels, float],
    left: bool,
    lowest: bool,
) -> None:
    """The map, with layers named at its left and below it where it stands at the edge."""
    far = bool(variable.attrs.get("distance", 0))
    most = np.nanmax(values, initial=0.0, where=np.isfinite(values)) if far else 1.0
    draw_map(axes, values, (0.0, most if most > 0 else 1.0), "magma_r" if far else "magma")
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)
    if not np.isfinite(values).all():
        axes.patch.set(**BLANK)
    across, up, size = labels
    for there, axis, names in ((lowest, axes.xaxis, across), (left, axes.yaxis, up)):
        if there:
            set_ticks(axis, names, size)
        else:
            axis.set_ticks([])


def _labels(
    rows: Layers, columns: Layers, width: float, height: float, measured: Measure
) -> tuple[TickLabels, TickLabels, float]:
    """Of the columns, of the rows, and the size that both have room for."""
    found = []
    for side, length, along_x in ((columns, width, True), (rows, height, False)):
        names = shorten_names(side.names, LONGEST, SIZE, measured)
        distinct = list(dict.fromkeys(side.blocks))
        short = dict(zip(distinct, shorten_names(distinct, LONGEST, SIZE, measured), strict=True))
        blocks = [short[block] for block in side.blocks]
        found.append(tick_labels(names, blocks, length * POINTS, measured, along_x=along_x))
    return found[0], found[1], min(SIZE, *(each.size for each in found))


def _say(
    drawn: Figure,
    dataset: xarray.Dataset,
    title: str | None,
    any_blank: bool,
    width: float,
    measured: Measure,
) -> None:
    """What was done, above the first map and its name."""
    first, above = drawn.axes[0], ABOVE * POINTS
    details = method_of([dataset], ", ") + ["hatched: no value"] * any_blank
    longest = max(width, LEAST) * POINTS
    said = ["Similarity of layers", *data_of([dataset], ", ")] if title is None else [title]
    for parts, style in (
        (details, {"fontsize": 7.5, "color": "0.3"}),
        (said, {"fontsize": 10.5, "color": "black"}),
    ):
        for line in reversed(wrap(parts, longest, style["fontsize"], measured)):
            above = add_line(first, line, above, style)
