"""What a figure of a study shows: its rows, their lines, and the words for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray

from vitprobe.errors import InputError


@dataclass(frozen=True)
class Variant:
    """One fraction or size. at: its place in the result, a seed left open. x: on the axis of
    accuracies. whole: whether the others are compared with it."""

    label: str
    at: Mapping[str, int]
    x: float
    whole: bool = False

    @property
    def model(self) -> int:
        return self.at["model"]


@dataclass(frozen=True)
class Group:
    """A row of panels. names: whether its layers are those of one network, by their names; else
    they are drawn along their relative depth."""

    label: str
    variants: Sequence[Variant]
    names: bool


@dataclass(frozen=True)
class Words:
    """What the panels are of. x, number: the axis of accuracies, and how numbers are written there;
    legend: above the variants; whole: what the others are compared with."""

    x: str
    legend: str
    whole: str
    number: Callable[[float], str]


def check(dataset: xarray.Dataset, dims: Sequence[str]) -> None:
    """Raise InputError for what is no result of that study."""
    if "accuracy" not in dataset or dataset["accuracy"].dims != tuple(dims):
        raise InputError(f"cannot plot this result: it has no 'accuracy' over {', '.join(dims)}")


def spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(seeds, ...) -> mean, lowest and highest of the seeds that have a value; NaN where none."""
    known = np.isfinite(values)
    some = known.any(0)
    count = np.maximum(known.sum(0), 1)
    middle = np.where(some, np.where(known, values, 0).sum(0) / count, np.nan)
    low = np.where(some, np.where(known, values, np.inf).min(0, initial=np.inf), np.nan)
    high = np.where(some, np.where(known, values, -np.inf).max(0, initial=-np.inf), np.nan)
    return middle, low, high
