"""Two results beside each other: which layers both have, and how sure a difference is."""

from collections.abc import Sequence

import numpy as np
import xarray

from vitprobe.errors import InputError

COLOURS = "RdBu_r"
LEAST = 1e-6  # of a scale: rounding alone has no colour
NAMED = 3  # layers that only one has


def common(first: Sequence[str], second: Sequence[str], model: str, other: str) -> list[str]:
    """The names that both have, in the order of the first.

    Raises:
        InputError: there are none.
    """
    shared = [name for name in first if name in set(second)]
    if not shared:
        whom = f"{model} has in both results" if model == other else f"{model} and {other} have"
        raise InputError(
            f"no difference to draw: no layer that {whom} in common; there are "
            f"{', '.join(first[:NAMED])}, ... and {', '.join(second[:NAMED])}, ..."
        )
    return shared


def only_in_one(first: Sequence[str], second: Sequence[str], model: str, other: str) -> list[str]:
    """What is left out because only one result has it, in words."""
    said = []
    names = (model, other) if model != other else (f"the first {model}", f"the second {other}")
    for own, others, name in ((first, second, names[0]), (second, first, names[1])):
        missing = [layer for layer in own if layer not in set(others)]
        if missing:
            more = ", ..." if len(missing) > NAMED else ""
            some = f"{', '.join(missing[:NAMED])}{more}"
            layers = "layer" if len(missing) == 1 else "layers"
            said.append(f"only {name} has {len(missing)} more {layers}: {some}")
    return said


def around_zero(values: np.ndarray) -> tuple[float, float]:
    """Limits of colours for differences: as far below 0 as above."""
    limit = max(np.nanmax(np.abs(values), initial=0.0), LEAST)
    return -limit, limit


def range_words(values: np.ndarray, unit: str = "") -> list[str]:
    """`from −0.45 to 0.21`."""
    if not np.isfinite(values).any():
        return []
    ends = (np.nanmin(values), np.nanmax(values))
    low, high = (f"{value:.2g}".replace("-", "−") for value in ends)
    return [f"from {low} to {high}{unit}"]


def error_words(errors: np.ndarray, results: Sequence[xarray.Dataset], unit: str = "") -> list[str]:
    """How large the standard errors of the differences are, and when that is too large.

    errors: root of the sum of the two squares, which is right for images drawn independently.
    """
    if not np.isfinite(errors).any():
        return []
    images = [[result.attrs.get(key) for key in ("dataset", "split")] for result in results]
    known_apart = images[0] != images[1] and None not in images[0] + images[1]
    alike = [] if known_apart else ["these are too large where both saw the same images"]
    most = f"{np.nanmax(errors):.2g}{unit}"
    return [f"standard errors up to {most} (root of the sum of squares)", *alike]
