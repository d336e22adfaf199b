"""Models trained on parts of the data against those trained on all: a row for each model."""

from __future__ import annotations

import numpy as np
import xarray
from matplotlib.figure import Figure

from vitprobe.figures.study_groups import Group, Variant, Words, check
from vitprobe.figures.study_panels import figure_of

DIMS = ("model", "fraction", "seed")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


WORDS = Words("of the training set", "of the training set", "the model of all data", _percent)


def figure(dataset: xarray.Dataset, *, title: str | None = None) -> Figure:
    """A result of `vitprobe.data_size`: of each model accuracy, CKA with the model of all data,
    attention distance and skip ratios, a line for each fraction.

    Lines are means over seeds, bands reach from the lowest to the highest. The dashed line is CKA
    of two models of all data and of different seeds. title: instead of the study's.

    Raises:
        InputError: the result holds no `accuracy` over model, fraction and seed.
    """
    return figure_of(dataset, groups_of(dataset), WORDS, title)


def groups_of(dataset: xarray.Dataset) -> list[Group]:
    """A group for each model, of its fractions from the smallest.

    Raises:
        InputError: the result holds no `accuracy` over model, fraction and seed.
    """
    check(dataset, DIMS)
    fractions = dataset["fraction"].values
    order = np.argsort(fractions)
    names = [str(name) for name in dataset["model"].values]
    return [
        Group(
            name,
            [
                Variant(
                    _percent(fractions[place]),
                    {"model": model, "fraction": int(place)},
                    float(fractions[place]),
                    place == order[-1],
                )
                for place in order
            ],
            names=True,
        )
        for model, name in enumerate(names)
    ]
