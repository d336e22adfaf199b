"""Models of several sizes against the largest of their family: a row for each family."""

from __future__ import annotations

import xarray
from matplotlib.figure import Figure

from vitprobe.figures.study_groups import Group, Variant, Words, check
from vitprobe.figures.study_panels import figure_of

DIMS = ("model", "seed")


def _count(number: float) -> str:
    """1234567 -> `1.23M`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


WORDS = Words("parameters", "model", "the largest", _count)


def figure(dataset: xarray.Dataset, *, title: str | None = None) -> Figure:
    """A result of `vitprobe.model_size`: of each family accuracy, CKA with its largest model,
    attention distance and skip ratios, a line for each model, along relative depth.

    Lines are means over seeds, bands reach from the lowest to the highest. The dashed line is CKA
    of the largest model with itself of another seed. title: instead of the study's.

    Raises:
        InputError: the result holds no `accuracy` over model and seed.
    """
    return figure_of(dataset, groups_of(dataset), WORDS, title)


def groups_of(dataset: xarray.Dataset) -> list[Group]:
    """A group for each family, of its models from the smallest.

    Raises:
        InputError: the result holds no `accuracy` over model and seed.
    """
    check(dataset, DIMS)
    parameters = dataset["parameters"].values
    labels = [str(name) for name in dataset["model"].values]
    families = [str(name) for name in dataset["family"].values]
    groups = []
    for family in dict.fromkeys(families):
        own = [place for place, each in enumerate(families) if each == family]
        own.sort(key=lambda place: parameters[place])
        groups.append(
            Group(
                family,
                [
                    Variant(
                        labels[place],
                        {"model": place},
                        float(max(parameters[place], 1)),
                        place == own[-1],
                    )
                    for place in own
                ],
                names=False,
            )
        )
    return groups
