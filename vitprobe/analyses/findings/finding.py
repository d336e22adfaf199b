"""One finding: a sentence with numbers, and whether these carry it.

Two numbers are told apart where they differ by more than Student's t (95 %, two-sided; divided by
the number of comparisons where the extremes of several are chosen, Bonferroni) times the root of
their squared standard errors. Numbers of one run are of the same images, so their errors mostly
have the same sign, and this asks for more than it need. The error of a mean over layers is the mean
of theirs: what it is at most, whatever their correlations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.05  # share of comparisons that tell two equal numbers apart, at most


@dataclass(frozen=True)
class Question:
    """What an analysis is asked. figure: of Raghu et al. 2021, unless another paper is named."""

    text: str
    figure: str


@dataclass(frozen=True)
class Finding:
    """sentence: with its numbers. models: whose. told: whether the numbers carry an answer; a
    sentence that is not told says so. value, error: what decides it, in `unit`; NaN: none."""

    sentence: str
    question: Question
    models: tuple[str, ...]
    told: bool
    value: float = math.nan
    error: float = math.nan
    unit: str = ""


@dataclass(frozen=True)
class Number:
    """A value with its standard error; NaN: not known."""

    value: float
    error: float

    @classmethod
    def mean(cls, values: np.ndarray, errors: np.ndarray) -> "Number":
        """Of values of any shape, those that are there."""
        there = np.isfinite(values)
        if not there.any():
            return cls(math.nan, math.nan)
        return cls(float(np.mean(values[there])), float(np.mean(errors[there])))

    @classmethod
    def geometric(cls, values: np.ndarray, errors: np.ndarray) -> "Number":
        """The geometric mean of positive values, those that are there."""
        there = np.isfinite(values) & (values > 0)
        if not there.any():
            return cls(math.nan, math.nan)
        mean = math.exp(np.log(values[there]).mean())
        return cls(mean, mean * float(np.mean(errors[there] / values[there])))

    def __str__(self) -> str:
        """`0.61 ± 0.02`: as many decimals as the error's first digit has, at most 3."""
        if math.isnan(self.value):
            return "no value"
        if math.isnan(self.error):
            return f"{_plain(f'{self.value:.3g}')}, without an error bar"
        first = float(f"{self.error:.0e}")  # its first digit, rounded
        places = -math.floor(math.log10(first)) if first > 0 else 3
        places = min(max(places, 0), 3)
        least = 10.0**-places
        error = f"{self.error:.{places}f}" if self.error >= least / 2 else f"under {least:g}"
        return f"{_plain(f'{self.value:.{places}f}')} ± {error}"

    def __sub__(self, other: "Number") -> "Number":
        return Number(self.value - other.value, math.hypot(self.error, other.error))

    def scaled(self, factor: float) -> "Number":
        """In another unit."""
        return Number(self.value * factor, self.error * factor)


def sign(first: Number, second: Number, df: float, among: int = 1) -> int:
    """1 or -1: the first is larger, or smaller, beyond the errors; 0: that cannot be told.

    df: degrees of freedom of the errors. among: how many pairs these two were chosen from.
    """
    difference = first - second
    if not math.isfinite(difference.value) or math.isnan(difference.error) or not df >= 1:
        return 0
    limit = stdtrit(min(df, 1e6), 1 - LEVEL / 2 / max(among, 1)) * difference.error
    return int(np.sign(difference.value)) if abs(difference.value) > limit else 0


def compared(
    question: Question,
    models: Sequence[str],
    first: Number,
    second: Number,
    df: float,
    *,
    more: str,
    less: str,
    whether: str,
    name: str = "",
    unit: str = "",
    among: int = 1,
) -> Finding:
    """What is said of two numbers: `more` or `less` of the first, or that it cannot be told.

    name: what they are, `CKA`.
    """
    which = sign(first, second, df, among)
    after = f" {unit}" if unit else ""
    numbers = f"({f'{name} ' if name else ''}{first}{after} against {second}{after})"
    words = {1: more, -1: less}.get(which) or f"whether {whether} cannot be told"
    difference = first - second
    return Finding(
        f"{words} {numbers}",
        question,
        tuple(dict.fromkeys(models)),
        bool(which),
        difference.value,
        difference.error,
        unit,
    )


def halves(count: int) -> tuple[slice, slice]:
    """The lower and the upper half of so many layers; of an odd number the one in the middle is in
    neither."""
    return slice(0, count // 2), slice(count - count // 2, count)


def spoken(names: Sequence[str], chosen: Sequence[int]) -> str:
    """`blocks 0 to 2`, `layer1.0, layer1.1 and layer3.0`: chosen layers, in the order of all."""
    runs = []
    for _, run in groupby(enumerate(sorted(chosen)), lambda pair: pair[1] - pair[0]):
        places = [place for _, place in run]
        runs.append(_run(names[places[0]], names[places[-1]], len(places)))
    return " and ".join(filter(None, (", ".join(runs[:-1]), runs[-1])))


def _run(first: str, last: str, count: int) -> str:
    if count == 1:
        return first
    (stem, _, low), (other, _, high) = first.rpartition("."), last.rpartition(".")
    if stem == other and stem.endswith("s") and low.isdecimal() and high.isdecimal():
        return f"{stem} {low} {'to' if count > 2 else 'and'} {high}"
    return f"{first} to {last}" if count > 2 else f"{first} and {last}"


def _plain(number: str) -> str:
    return number.replace("-", "−")
