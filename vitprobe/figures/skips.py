"""Skips beside the branches that are added to them, as Fig. 7 of Raghu et al. 2021 (arXiv
2108.08810): the ratio of their norms and their cosine along the layers, and the ratio of each
token."""

import xarray
from matplotlib.figure import Figure

from vitprobe.figures.attention import images_of, legend_height, write_title
from vitprobe.figures.skips_panels import (
    KINDS,
    QUANTITIES,
    TICK,
    by_layer,
    check,
    colours_of,
    has_map,
    log_ticks,
    scale,
    token_map,
    write_legend,
)
from vitprobe.figures.style import POINTS, add_axes, fit_canvas, new_figure, text_measure
from vitprobe.figures.weights import weights_facts

WIDTH, HEIGHT, ACROSS = 2.75, 1.9, 0.7  # inches: a panel, and between two
ROW, MAP_HEIGHT = 0.11, (0.5, 4.5)  # inches: a layer of a map; least and most of its height
BELOW, BESIDE, BAR = 0.45, 0.62, 0.1  # inches: above a map, between two, width of the colour bar


def figure(dataset: xarray.Dataset, *, title: str | None = None) -> Figure:
    """Two panels of a result of `vitprobe.skips` and, below, a map for each kind of layer.

    title: instead of what was done.

    Raises:
        InputError: `ratio` or `cosine` is missing, or has other dimensions.
    """
    check(dataset)
    drawn = new_figure()
    measure, panels = text_measure(drawn), []
    for column, name in enumerate(QUANTITIES):
        axes = add_axes(drawn, column * (WIDTH + ACROSS), 0.0, WIDTH, HEIGHT)
        lines = by_layer(axes, dataset, name, WIDTH, measure)
        scale(axes, [dataset], name, dataset["group"].values)
        panels.append(axes)
        if lines and not column:
            blank = dataset["ratio"].isnull().all("group").any().item()
            write_legend(axes, lines, blank)
    _add_maps(drawn, dataset, measure, min(_lowest(axes) for axes in panels))
    said = [f"Skips of {dataset.attrs.get('model', 'model')}", *images_of(dataset)]
    above, whole = 4 + legend_height(panels[0]), (2 * WIDTH + ACROSS) * POINTS
    write_title(
        panels[0], said if title is None else [title], facts(dataset), above, whole, measure
    )
    fit_canvas(drawn)
    return drawn


def facts(dataset: xarray.Dataset) -> list[str]:
    """What the numbers belong to, as far as the result says."""
    found = []
    if size := dataset.attrs.get("model_image_size"):
        found.append(f"images of {str(size).replace(', ', ' x ')} px")
    return found + weights_facts(dataset.attrs, ["model"])


def _lowest(axes) -> float:
    """Inches from the bottom of the axes to that of what hangs from them."""
    box = axes.get_tightbbox(axes.figure.canvas.get_renderer())
    return (box.y0 - axes.get_window_extent().y0) / axes.figure.dpi


def _add_maps(drawn: Figure, dataset: xarray.Dataset, measure, top: float) -> None:
    norm = colours_of(dataset)
    kinds = [kind for kind in KINDS if has_map(dataset, kind)]
    if norm is None or not kinds:
        return
    whole = 2 * WIDTH + ACROSS - 0.1 - BAR - 0.35
    width = (whole - BESIDE * (len(kinds) - 1)) / len(kinds)
    most = max(int((dataset["kind"] == kind).sum()) for kind in kinds)
    height = min(max(most * ROW, MAP_HEIGHT[0]), MAP_HEIGHT[1])
    bottom = top - BELOW - height
    for place, kind in enumerate(kinds):
        axes = add_axes(drawn, place * (width + BESIDE), bottom, width, height)
        image = token_map(axes, dataset, kind, norm, height, measure)
    tall = max(height, 0.9)
    bar = drawn.colorbar(
        image, cax=add_axes(drawn, whole + 0.1, bottom + height - tall, BAR, tall), extend="both"
    )
    ticks = log_ticks(norm.vmin, norm.vmax)
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.ax.minorticks_off()
    bar.outline.set_linewidth(0.5)
    bar.ax.tick_params(labelsize=TICK, length=2, width=0.5)
    bar.set_label(QUANTITIES["ratio"], fontsize=TICK)
