"""The panels of studies: accuracy, CKA, attention distance and skip ratios, a row for each group.

Lines are means over seeds, bands reach from the lowest to the highest seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from vitprobe.figures.heatmap import BLANK
from vitprobe.figures.labels import shorten, shorten_names, tick_labels
from vitprobe.figures.study_groups import Group, Words, spread
from vitprobe.figures.style import (
    PLAIN,
    POINTS,
    Measure,
    add_axes,
    fit_canvas,
    new_figure,
    side_legend,
    text_measure,
    wrap,
)
from vitprobe.figures.tiles import heading

PANEL, GAP, BETWEEN = (2.05, 1.75), 0.62, 0.95  # inches: a panel, to its right, below it
TEXT, SMALL, ROW = 8.0, 7.0, 9.0  # pt
LONGEST, LONGEST_ROW = 60.0, 220.0  # pt, of a layer's name, of a group's
SHADES = (0.88, 0.1)  # part of viridis, from the smallest to what the others are compared with
REFERENCE = {"color": "0.1", "linestyle": (0, (4, 2)), "linewidth": 1.0}
KINDS = ("-", (0, (1, 1.2)))  # of lines of skips: the first kind of a model, and the second
OUTPUT = 1.16  # where the output stands on an axis of relative depths
GROUPS = (("layer", "cka"), ("attention_layer", "distance"), ("skip_layer", "skip_ratio"))
LABELS = {
    "distance": "mean attention distance (px)",
    "skip_ratio": "|skip| / |branch|, patches",
}
BLANKS = {"cka": "cka_blank", "distance": "distance_blank", "skip_ratio": "skip_blank"}


def figure_of(
    dataset: xarray.Dataset, groups: Sequence[Group], words: Words, title: str | None
) -> Figure:
    """A row of panels for each group."""
    drawn = new_figure()
    measure = text_measure(drawn)
    step = PANEL[0] + GAP
    limits = {name: _limits(dataset, name) for name in ("distance", "skip_ratio")}
    for number, group in enumerate(groups):
        bottom = -number * (PANEL[1] + BETWEEN) - PANEL[1]
        colours = _colours(group)
        left = add_axes(drawn, 0, bottom, *PANEL)
        _accuracy(left, dataset, group, words, colours)
        for place, (dim, name) in enumerate(GROUPS, 1):
            axes = add_axes(drawn, place * step, bottom, *PANEL)
            _layers(axes, dataset, group, dim, name, colours, words, measure, limits.get(name))
        if group.label:
            row = shorten(group.label, LONGEST_ROW, ROW, measure)
            left.set_title(row, fontsize=ROW, loc="left", pad=5, fontweight="bold", **PLAIN)
        _legend(drawn, 4 * step - GAP + 0.15, bottom + PANEL[1], dataset, group, colours, words,
                measure)  # fmt: skip
    width = 4 * step - GAP
    said, details = _texts(dataset, groups)
    heading(drawn, 0.3, width, said if title is None else [title], details, measure)
    fit_canvas(drawn)
    return drawn


def _colours(group: Group) -> list:
    return list(matplotlib.colormaps["viridis"](np.linspace(*SHADES, len(group.variants))))


def _accuracy(axes: Axes, dataset, group: Group, words: Words, colours) -> None:
    xs, rows = [], []
    for variant in group.variants:
        xs.append(variant.x)
        rows.append(spread(dataset["accuracy"].isel(variant.at).values))
    xs, rows = np.array(xs), np.array(rows, dtype=float)
    axes.plot(xs, rows[:, 0], color="0.6", linewidth=0.9, zorder=1)
    for x, (middle, low, high), colour in zip(xs, rows, colours, strict=True):
        if np.isfinite(middle):
            axes.errorbar(
                x, middle, [[middle - low], [high - middle]], color=colour, marker="o",
                markersize=4, elinewidth=1.2, capsize=2,
            )  # fmt: skip
    if (classes := int(dataset.attrs.get("num_classes", 0))) > 1:
        axes.axhline(1 / classes, color="0.6", linewidth=0.7, linestyle=(0, (1, 2)), zorder=0)
    known = dataset["accuracy"].values
    known = known[np.isfinite(known)]
    low = min([known.min(initial=1.0), *([1 / classes] if classes > 1 else [])])
    high = known.max(initial=low) if len(known) else 1.0
    axes.set_ylim(max(low - 0.06, -0.02) if len(known) else -0.02, min(high + 0.06, 1.02))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, place: f"{100 * share:g} %"))
    axes.set_xscale("log")
    reach = max(xs.max() / xs.min(), 1.2) ** 0.12
    axes.set_xlim(xs.min() / reach, xs.max() * reach)
    axes.set_xticks(xs, [words.number(x) for x in xs], fontsize=SMALL)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(words.x, fontsize=TEXT)
    axes.set_ylabel("test accuracy", fontsize=TEXT)
    _plain(axes)


def _layers(
    axes: Axes, dataset, group: Group, dim: str, name: str, colours, words: Words,
    measure: Measure, limits,
) -> None:  # fmt: skip
    """A line for each variant along its layers; hatched, with the reason, where none has a value.

    Of CKA the variants are drawn but for the one that they are compared with: its line, dashed, is
    what another seed alone gives.
    """
    prefix = dim.removesuffix("layer")
    any_there, last = False, 1
    for variant, colour in zip(group.variants, colours, strict=True):
        names = [str(text) for text in dataset[f"{prefix}layer_name"].values[variant.model]]
        count = sum(map(bool, names))
        if not count:
            continue
        last = max(last, count)
        x = np.arange(count) if group.names else depths_of(dataset, variant.model, dim, count)
        variable = "cka_other_seeds" if name == "cka" and variant.whole else name
        values = dataset[variable].isel(variant.at)
        if name == "skip_ratio":
            values = values.sel(group="patches")
        values = values.values[:, :count]
        style = {"color": colour, "linewidth": 1.2}
        if name == "cka" and variant.whole:
            style = REFERENCE
        for line, chosen in parts_of(dataset, variant.model, name, count):
            own = style if line == "-" else {**style, "linestyle": line}
            any_there |= _line(axes, x[chosen], values[:, chosen], own)
    if not any_there:
        _blank(axes, dataset, group, name, measure)
        return
    _x_axis(axes, dataset, group, prefix, last, measure)
    if name == "cka":
        known = [dataset[each].isel(variant.at).values for variant in group.variants
                 for each in ("cka", "cka_other_seeds")]  # fmt: skip
        lowest = min(each[np.isfinite(each)].min(initial=0) for each in known)
        axes.set_ylim(min(-0.02, 1.05 * lowest), 1.03)
        axes.set_ylabel(f"CKA with {words.whole}", fontsize=TEXT)
    else:
        axes.set_ylabel(LABELS[name], fontsize=TEXT)
        if name == "skip_ratio":
            axes.set_yscale("log")
            axes.axhline(1, color="0.6", linewidth=0.7, linestyle=(0, (1, 2)), zorder=0)
            ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
                     if limits[0] <= tick <= limits[1]]  # fmt: skip
            axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(limits)
    _plain(axes)


def parts_of(dataset, model: int, name: str, count: int):
    """(line, places): of skips those of each kind apart, else all."""
    if name != "skip_ratio":
        return [("-", np.arange(count))]
    kinds = [str(kind) for kind in dataset["skip_kind"].values[model][:count]]
    found = list(dict.fromkeys(kinds))
    return [
        (KINDS[min(k, len(KINDS) - 1)], np.flatnonzero([each == kind for each in kinds]))
        for k, kind in enumerate(found)
    ]


def _line(axes: Axes, x: np.ndarray, values: np.ndarray, style: Mapping) -> bool:
    """Mean and range over seeds; whether there is anything."""
    middle, low, high = spread(values)
    if not np.isfinite(middle).any():
        return False
    axes.fill_between(x, low, high, color=style["color"], alpha=0.16, linewidth=0)
    axes.plot(x, middle, marker="o", markersize=2.4 if len(x) <= 24 else 1.2, **style)
    return True


def depths_of(dataset, model: int, dim: str, count: int) -> np.ndarray:
    """(count,): from 0 for a model's first layer to 1 for its last; OUTPUT for its output."""
    if dim == "layer":
        depths = dataset["layer_depth"].values[model][:count].astype(float)
        return np.where(np.isnan(depths), OUTPUT, depths)
    return np.linspace(0, 1, count) if count > 1 else np.ones(1)


def _x_axis(axes: Axes, dataset, group: Group, prefix: str, last: int, measure: Measure) -> None:
    if not group.names:
        ticks, texts = [0, 0.5, 1], ["0", "0.5", "1"]
        if prefix == "":
            ticks, texts = [*ticks, OUTPUT], [*texts, "out"]
        axes.set_xticks(ticks, texts, fontsize=SMALL)
        axes.set_xlim(-0.05, (OUTPUT if prefix == "" else 1) + 0.06)
        axes.set_xlabel("relative depth", fontsize=TEXT)
        return
    names = [str(name) for name in dataset[f"{prefix}layer_name"].values[group.variants[0].model]]
    blocks = [""] * last
    short = shorten_names(names[:last], LONGEST, TEXT, measure)
    labels = tick_labels(short, blocks, PANEL[0] * POINTS, measure, along_x=True)
    axes.set_xticks(
        labels.positions, labels.texts, fontsize=labels.size, rotation=labels.rotation, **PLAIN
    )
    axes.set_xlim(-0.5, last - 0.5)


def _blank(axes: Axes, dataset, group: Group, name: str, measure: Measure) -> None:
    """Hatched, with the first reason in its middle."""
    axes.set(xticks=[], yticks=[])
    axes.patch.set(**BLANK)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
    found: dict[str, None] = {}
    for variant in group.variants:
        column = BLANKS[name]
        if name == "cka":
            column = "cka_other_seeds_blank" if variant.whole else "cka_blank"
        for reason in dataset[column].isel(variant.at).values.ravel():
            found.setdefault(str(reason))
    reasons = [reason for reason in found if reason] or ["no value"]
    lines = wrap([reasons[0]], (PANEL[0] - 0.3) * POINTS, SMALL, measure)[:6]
    axes.text(
        0.5, 0.5, "\n".join(lines), transform=axes.transAxes, ha="center", va="center",
        fontsize=SMALL, color="0.2",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 3}, **PLAIN,
    )  # fmt: skip
    axes.set_title(
        {"cka": "CKA", "distance": "attention distance", "skip_ratio": "skip ratio"}[name],
        fontsize=TEXT, pad=4,
    )  # fmt: skip


def _plain(axes: Axes) -> None:
    axes.grid(axis="y", linewidth=0.3, color="0.85")
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL, length=2.5, width=0.5)
    axes.tick_params(axis="y", which="minor", length=0)
    for side, spine in axes.spines.items():
        spine.set_linewidth(0.6)
        spine.set_visible(side in ("left", "bottom"))


def _limits(dataset, name: str) -> tuple[float, float]:
    """The same in every row."""
    values = dataset[name]
    if name == "skip_ratio":
        values = values.sel(group="patches")
    values = values.values[np.isfinite(values.values)]
    if name == "distance":
        low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
        if not len(values):
            return 0.0, 1.0
        margin = max(0.08 * (high - low), 0.05 * high, 0.1)
        return max(low - margin, 0), high + margin
    values = values[values > 0]
    low, high = (values.min(), values.max()) if len(values) else (1.0, 1.0)
    return min(low, 0.8) / 1.2, max(high, 1.25) * 1.2


def _legend(
    drawn: Figure, left: float, top: float, dataset, group: Group, colours, words: Words,
    measure: Measure,
) -> None:  # fmt: skip
    axes = add_axes(drawn, left, top - 0.01, 0.01, 0.01)
    axes.set_axis_off()
    texts = shorten_names([each.label for each in group.variants], 110.0, SMALL, measure)
    for text, colour in zip(texts, colours, strict=True):
        axes.plot([], [], color=colour, marker="o", markersize=3, linewidth=1.2, label=text)
    whole = [variant for variant in group.variants if variant.whole]
    known = [dataset["cka_other_seeds"].isel(variant.at).values for variant in whole]
    if any(np.isfinite(each).any() for each in known):
        axes.plot([], [], label=f"CKA of {words.whole}\nwith another seed of it", **REFERENCE)
    kinds = {
        str(kind)
        for variant in group.variants
        for kind in dataset["skip_kind"].values[variant.model]
        if str(kind)
    }
    if len(kinds) > 1:
        first = [str(kind) for kind in dataset["skip_kind"].values[group.variants[0].model]]
        for kind, line in zip(dict.fromkeys(filter(None, first)), KINDS, strict=False):
            text = {"mlp": "MLP"}.get(kind, kind)
            axes.plot([], [], color="0.4", linestyle=line, linewidth=1.2, label=f"skips of {text}")
    side_legend(axes, words.legend)


def _texts(dataset: xarray.Dataset, groups) -> tuple[list[str], list[str]]:
    attrs = dataset.attrs
    seeds = dataset.sizes["seed"]
    details = [str(attrs.get("dataset", ""))]
    if "examples" in attrs:
        details.append(f"{int(attrs['examples']):,} examples")
    details.append(f"lines: means of {seeds} seeds, bands: lowest to highest" if seeds > 1
                   else "one seed")  # fmt: skip
    known = dataset["accuracy"].values
    if blanks := int(np.isnan(known).sum()):
        details.append(f"{blanks} of {known.size} runs blank")
    return [str(attrs.get("title", "a study"))], [part for part in details if part]
