"""The panels of the attention figure: heads in order of their distance, and numbers along depth."""

from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from vitprobe.figures.heatmap import BLANK
from vitprobe.figures.labels import shorten, shorten_names, tick_labels
from vitprobe.figures.style import PLAIN, Measure

LOW, HIGH = ("#08519c", "#6baed6"), ("#fdae6b", "#d94801")  # the first two layers, the last two
HEADS, MEAN = "#6a9fc9", "#08306b"
UNIFORM = {"color": "0.35", "linewidth": 0.9, "linestyle": (0, (4, 3))}
TEXT = 8.0  # pt, of axes' titles
LONGEST = 72.0  # pt, of a layer's name at the axis
LEGEND = {"fontsize": 7, "frameon": False, "borderaxespad": 0.3, "borderpad": 0.2} | {
    "handlelength": 1.8,
    "handletextpad": 0.5,
    "columnspacing": 1.2,
    "labelspacing": 0.3,
}


@dataclass(frozen=True)
class Span:
    """Limits that panels beside each other share."""

    heads: int
    layers: int
    distance: float  # in the unit of distance_label
    entropy: float  # nats
    distance_label: str

    @classmethod
    def of(cls, datasets: list[xarray.Dataset], distance_label: str) -> "Span":
        return cls(
            max(dataset.sizes["head"] for dataset in datasets),
            max(dataset.sizes["layer"] for dataset in datasets),
            *(
                max(_most(dataset, name) for dataset in datasets)
                for name in ("distance", "entropy")
            ),
            distance_label,
        )

    def of_one(self, dataset: xarray.Dataset) -> "Span":
        """The same scales, with the heads and layers of this model alone."""
        return replace(self, heads=dataset.sizes["head"], layers=dataset.sizes["layer"])


def ranked_heads(axes: Axes, dataset: xarray.Dataset, span: Span, width: float, measure: Measure):
    """Each shown layer's heads from the most local to the most global, with standard errors.

    Shown are the first two layers and the last two that have values (Raghu et al. 2021, Fig. 3).
    """
    values, errors = dataset["distance"].values, dataset["distance_se"].values
    names, _ = short_names(dataset)
    known = np.flatnonzero(np.isfinite(values).any(1))
    chosen = [*known[:2], *known[2:][-2:]]
    colours = [*LOW[: len(known[:2])], *HIGH[2 - len(known[2:][-2:]) :]]
    uniform = dataset["distance_uniform"].values[chosen]
    same = len(set(np.round(uniform, 6))) == 1
    for layer, colour, level in zip(chosen, colours, uniform, strict=True):
        order = np.argsort(values[layer])  # NaN last
        order = order[np.isfinite(values[layer][order])]
        axes.errorbar(
            np.arange(1, len(order) + 1),
            values[layer][order],
            np.nan_to_num(errors[layer][order]),
            color=colour,
            marker="o",
            markersize=3.2,
            linewidth=1.1,
            elinewidth=0.8,
        )
        if not same:
            axes.axhline(level, **UNIFORM | {"color": colour})
    if same:
        axes.axhline(uniform[0], **UNIFORM)
    axes.set_xlim(0.5, span.heads + 0.5)
    axes.set_xticks(_whole(span.heads))
    axes.set_ylim(0, span.distance)
    axes.set_xlabel("head, by its distance", fontsize=TEXT)
    axes.set_ylabel(span.distance_label, fontsize=TEXT)
    lines = [Line2D([], [], color=c, marker="o", markersize=3.2, linewidth=1.1) for c in colours]
    room = 36 * width - 40  # pt: half of the panel, less the line before the text
    if max(measure(names[layer], LEGEND["fontsize"])[0] for layer in [*chosen, 0]) > room:
        names, _ = short_names(dataset, ticks=True)
    names = shorten_names(names, room, LEGEND["fontsize"], measure)
    texts = [names[layer] for layer in chosen]
    _legend(axes, [*lines, Line2D([], [], **UNIFORM)], [*texts, "uniform attention"])


def distance_by_depth(axes, dataset, span, width, measure):
    """Every head's distance, layer by layer, and the mean of the heads."""
    _by_depth(axes, dataset, "distance", span, width, measure)
    axes.set_ylim(0, span.distance)
    axes.set_ylabel(span.distance_label, fontsize=TEXT)


def entropy_by_depth(axes, dataset, span, width, measure):
    """Every head's entropy, layer by layer, and the mean of the heads."""
    _by_depth(axes, dataset, "entropy", span, width, measure)
    axes.set_ylim(0, span.entropy)
    axes.set_ylabel("attention entropy\n(nats)", fontsize=TEXT)


def _by_depth(axes, dataset, name, span: Span, width: float, measure: Measure) -> None:
    values = dataset[name].values  # (layers, heads)
    layers = len(values)
    depth = np.arange(layers)
    axes.plot(
        np.repeat(depth, values.shape[1]),
        values.ravel(),
        linestyle="none",
        marker="o",
        markersize=3,
        markeredgewidth=0,
        color=HEADS,
        alpha=0.7,
    )
    known = np.isfinite(values)
    means = np.where(known, values, 0).sum(1) / np.where(known.any(1), known.sum(1), np.nan)
    axes.plot(depth, means, color=MEAN, linewidth=1.2, marker="o", markersize=3.4)
    edges = np.append(depth, layers) - 0.5
    axes.stairs(dataset[f"{name}_uniform"].values, edges, baseline=None, **UNIFORM)
    axes.set_xlim(-0.5, span.layers - 0.5)
    handles = [
        Line2D([], [], color=HEADS, marker="o", markersize=3, linestyle="none"),
        Line2D([], [], color=MEAN, marker="o", markersize=3.4, linewidth=1.2),
        Line2D([], [], **UNIFORM),
    ]
    texts = ["one head", "mean of the heads", "uniform attention"]
    if blank := [layer for layer in depth if not known[layer].any()]:
        for layer in blank:
            axes.axvspan(layer - 0.5, layer + 0.5, **BLANK)
        handles.append(Patch(**BLANK))
        texts.append("no value (see blank)")
    _legend(axes, handles, texts)
    names, pattern = short_names(dataset, ticks=True)
    names = shorten_names(names, LONGEST, 8, measure)
    labels = tick_labels(
        names, [""] * layers, 72 * width * layers / span.layers, measure, along_x=True
    )
    axes.set_xticks(
        labels.positions, labels.texts, fontsize=labels.size, rotation=labels.rotation, **PLAIN
    )
    axes.set_xlabel(shorten(pattern, 72 * width, TEXT, measure), fontsize=TEXT, **PLAIN)


def short_names(dataset: xarray.Dataset, ticks: bool = False) -> tuple[list[str], str]:
    """The layers' names without the parts that all of them share, and what stands for these.

    `blocks.0.attn`, `blocks.1.attn` -> (`blocks.0`, `blocks.1`), or (`0`, `1`) for ticks, and
    `layer: blocks.*.attn`.
    """
    names = [str(name) for name in dataset["layer"].values]
    parts = [name.split(".") for name in names]
    shortest = min(map(len, parts))
    start = 0
    while start < shortest and len({part[start] for part in parts}) == 1:
        start += 1
    end = 0
    while end < shortest - start - 1 and len({part[-1 - end] for part in parts}) == 1:
        end += 1
    if start == shortest:  # one layer, or one called several times
        return names, "layer"
    middles = [part[start : len(part) - end] for part in parts]
    stars = ["*"]
    if ticks and len(set(map(len, middles))) == 1:  # what all share between is left out, too
        differs = [len(set(column)) > 1 for column in zip(*middles, strict=True)]
        stars = ["*" if own else part for own, part in zip(differs, middles[0], strict=True)]
        middles = [list(compress(middle, differs)) for middle in middles]
    pattern = ".".join([*parts[0][:start], *stars, *(parts[0][-end:] if end else [])])
    if not ticks and start and all(middle[0].isdigit() for middle in middles if middle):
        middles = [[parts[0][start - 1], *middle] for middle in middles]
    joined = [".".join(middle) for middle in middles]
    return joined, f"layer: {pattern}" if pattern != "*" else "layer"


def write_legend(axes: Axes, handles, texts, columns: int) -> None:
    """Above the axes, from their left edge; names are text."""
    legend = axes.legend(
        handles, texts, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, **LEGEND
    )
    for text in legend.get_texts():
        text.set(**PLAIN)


def _legend(axes: Axes, handles, texts) -> None:
    write_legend(axes, handles, texts, 2 if len(handles) > 2 else 1)
    axes.tick_params(labelsize=7.5, length=2.5, width=0.5)
    for side, spine in axes.spines.items():
        spine.set_linewidth(0.6)
        spine.set_visible(side in ("left", "bottom"))


def _most(dataset: xarray.Dataset, name: str) -> float:
    """The upper limit of an axis from 0 that holds all values, errors and uniform attention."""
    values = dataset[name].values + np.nan_to_num(dataset[f"{name}_se"].values)
    both = [*values.ravel(), *dataset[f"{name}_uniform"].values]
    finite = [value for value in both if np.isfinite(value) and value > 0]
    return 1.06 * max(finite, default=1.0)


def _whole(count: int) -> list[int]:
    """Ticks from 1 to count, at most 12 of them."""
    step = -(-count // 12)
    return (
        [1, *range(1 + step, count - step // 2 + 1, step)] if step > 1 else [*range(1, count + 1)]
    )
