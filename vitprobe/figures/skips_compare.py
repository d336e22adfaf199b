"""The skips of several models in the same axes, along their relative depth."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vitprobe.errors import InputError
from vitprobe.figures.attention import images_of, legend_height, write_title
from vitprobe.figures.attention_panels import LEGEND
from vitprobe.figures.labels import shorten_names
from vitprobe.figures.skips import ACROSS, HEIGHT, WIDTH
from vitprobe.figures.skips_panels import GROUPS, QUANTITIES, TEXT, check, curves, scale
from vitprobe.figures.style import PLAIN, POINTS, add_axes, fit_canvas, new_figure, text_measure
from vitprobe.figures.weights import weights_facts

LINES = {"attention": "-", "mlp": (0, (4, 2)), "block": (0, (1, 1))}
BETWEEN = 0.3  # inches, between two rows
NAME = 150.0  # pt, of a model's label


def compare(datasets: Sequence[xarray.Dataset], *, title: str | None = None) -> Figure:
    """Ratio and cosine of several results of `vitprobe.skips`: a colour for each model, a row of
    panels for each group of tokens that one of them has.

    title: instead of what was done.

    Raises:
        InputError: one of them is no result of `vitprobe.skips`, or there is none.
    """
    if not datasets:
        raise InputError("no result to compare: pass two or more results of vitprobe.skips")
    for dataset in datasets:
        check(dataset)
    drawn = new_figure()
    measure = text_measure(drawn)
    colours = matplotlib.colormaps["tab10" if len(datasets) <= 10 else "tab20"].colors
    groups = [
        group
        for group in GROUPS
        if any(each["ratio"].sel(group=group).notnull().any() for each in datasets)
    ] or ["patches"]
    tops, kinds = [], {}
    for row, group in enumerate(groups):
        for column, name in enumerate(QUANTITIES):
            left, bottom = column * (WIDTH + ACROSS), -row * (HEIGHT + BETWEEN)
            axes = add_axes(drawn, left, bottom, WIDTH, HEIGHT)
            for place, dataset in enumerate(datasets):
                depth = dataset.sizes["layer"]
                x = (np.arange(depth) + 0.5) / depth
                for kind, line in LINES.items():
                    colour = colours[place % len(colours)]
                    if curves(axes, dataset, name, x, group, kind, colour, line):
                        kinds[kind] = line
            scale(axes, datasets, name, [group])
            axes.set_xlim(0, 1)
            axes.set_ylabel(f"{QUANTITIES[name]}\n({GROUPS[group][0]})", fontsize=TEXT)
            if row < len(groups) - 1:
                axes.tick_params(labelbottom=False)
            else:
                axes.set_xlabel("depth (share of the layers)", fontsize=TEXT)
            tops += [axes] if not row else []
    labels = shorten_names([str(d.attrs.get("model", "model")) for d in datasets], NAME, 7, measure)
    handles = [
        Line2D([], [], color=colours[place % len(colours)], linewidth=1.6)
        for place in range(len(datasets))
    ]
    legend = tops[0].legend(
        handles, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=1, **LEGEND
    )
    for text in legend.get_texts():
        text.set(**PLAIN)
    tops[1].legend(
        [Line2D([], [], color="0.25", linestyle=line, linewidth=1.1) for line in kinds.values()],
        [{"mlp": "MLP"}.get(kind, kind) for kind in kinds],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        **LEGEND,
    )
    images = [images_of(dataset) for dataset in datasets]
    said = ["Skips", *(fact for fact in images[0] if all(fact in each for each in images))]
    details = list(dict.fromkeys(f for d in datasets for f in _weights(d)))
    above = 4 + max(map(legend_height, tops))
    whole = (2 * WIDTH + ACROSS) * POINTS
    write_title(tops[0], said if title is None else [title], details, above, whole, measure)
    fit_canvas(drawn)
    return drawn


def _weights(dataset: xarray.Dataset) -> list[str]:
    label = str(dataset.attrs.get("model", "model"))
    return [f"{label}: {fact}" for fact in weights_facts(dataset.attrs, ["model"])]
