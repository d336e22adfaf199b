"""Probes of several models in the same axes: accuracy along their relative depth."""

from collections.abc import Sequence

import numpy as np
import xarray
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vitprobe.errors import InputError
from vitprobe.figures.attention import legend_height, write_title
from vitprobe.figures.attention_panels import LEGEND
from vitprobe.figures.labels import shorten_names
from vitprobe.figures.names import short_names
from vitprobe.figures.probe_panels import (
    TEXT,
    check,
    colours_of,
    curve,
    each_token,
    limits,
    method,
    references,
)
from vitprobe.figures.style import PLAIN, POINTS, add_axes, fit_canvas, new_figure, text_measure
from vitprobe.figures.weights import weights_facts

WIDTH, HEIGHT = 5.2, 3.0  # inches
TWO = 6  # models: of more the legend has two columns
LABEL = 32  # characters of a model's label before what its weights are
KEYS = ("tokens_asked", "pool", "solver", "shots", "dataset", "train")


def compare(datasets: Sequence[xarray.Dataset], *, title: str | None = None) -> Figure:
    """Several results of `vitprobe.probe`: a colour for each, along the share of the layers; of
    tokens `each` the mean over tokens, with the lowest and the highest as a band.

    title: instead of what was done.

    Raises:
        InputError: one of them is no result of `vitprobe.probe`, or there is none.
    """
    if not datasets:
        raise InputError("no result to compare: pass two or more results of vitprobe.probe")
    for dataset in datasets:
        check(dataset)
    drawn = new_figure()
    measure = text_measure(drawn)
    colours = colours_of(len(datasets))
    axes = add_axes(drawn, 0, 0, WIDTH, HEIGHT)
    for dataset, colour in zip(datasets, colours, strict=True):
        x = (np.arange(dataset.sizes["layer"]) + 0.5) / dataset.sizes["layer"]
        if each_token(dataset):
            tokens = 100 * dataset["accuracy"]
            axes.fill_between(x, tokens.min("token"), tokens.max("token"), color=colour, alpha=0.15,
                              lw=0)  # fmt: skip
            axes.plot(x, tokens.mean("token"), color=colour, marker="o", markersize=3, lw=1.2)
        else:
            curve(axes, dataset, x, colour)
    limits(axes, datasets)
    axes.set_xlim(0, 1)
    axes.set_xlabel("depth (share of the layers)", fontsize=TEXT)
    marks = references(axes, datasets, colours)
    handles = [Line2D([], [], color=c, linewidth=1.6) for c in colours] + marks
    columns = 2 if len(handles) > TWO else 1
    room = (WIDTH / columns) * POINTS - 45
    labels = shorten_names(_labels(datasets), room, 7, measure)
    legend = axes.legend(
        handles,
        [*labels, *(mark.get_label() for mark in marks)],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        **LEGEND,
    )
    for text in legend.get_texts():
        text.set(**PLAIN)
    sets = dict.fromkeys(str(each.attrs.get("dataset", "")) for each in datasets)
    said = ["Probes of the layers", *(sets if len(sets) == 1 else [])]
    details = method(datasets)
    if any(map(each_token, datasets)):
        details = [fact for fact in details if not fact.startswith("bands")]
        details.append("bands: from the lowest token to the highest")
    details += _weights(datasets)
    write_title(
        axes,
        said if title is None else [title],
        details,
        4 + legend_height(axes),
        WIDTH * POINTS,
        measure,
    )
    fit_canvas(drawn)
    return drawn


def _labels(datasets: Sequence[xarray.Dataset]) -> list[str]:
    """Of each its model, and where one model has several results what is not the same in all."""
    models = [str(each.attrs.get("model", "model")) for each in datasets]
    if len(set(models)) == len(models):
        return models
    differ = [k for k in KEYS if len({str(each.attrs.get(k, "")) for each in datasets}) > 1]
    found = []
    for model, dataset in zip(models, datasets, strict=True):
        words = []
        for key in differ:
            value = dataset.attrs.get(key, "")
            words.append(f"{int(value)} shots" if key == "shots" and value else
                         "all images" if key == "shots" else str(value))  # fmt: skip
        found.append(", ".join([model, *filter(None, words)]))
    return found


def _weights(datasets: Sequence[xarray.Dataset]) -> list[str]:
    """Once where all models have weights of one kind, else behind their labels."""
    facts = [weights_facts(each.attrs, ["model"]) for each in datasets]
    if all(each == facts[0] for each in facts):
        return facts[0]
    labels = short_names([str(d.attrs.get("model", "model")) for d in datasets], LABEL, len)
    texts = [f"{label}: {fact}" for label, own in zip(labels, facts, strict=True) for fact in own]
    return list(dict.fromkeys(texts))
