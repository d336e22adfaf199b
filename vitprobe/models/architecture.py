"""The options of our own Vision Transformers: as they are given, and as a checkpoint tells them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vitprobe.errors import InputError, did_you_mean
from vitprobe.text import shown

MODELS = ("vit", "vit-zhu2023", "vit-small-data")  # the names that have these options
COUNTS = {  # and the most of each that any model has, with room
    "patch_size": 4096,
    "dim": 2**16,
    "heads": 4096,
    "depth": 1024,
    "mlp_dim": 2**18,
}
OPTIONS = (*COUNTS, "dropout", "pool")
POOLS = ("cls", "mean")

Architecture = dict[str, int | float | str]


class Told(NamedTuple):
    """What a checkpoint tells of one option.

    because: the key that says so, with its shape; "" for a guess, which gives way to what is given.
    """

    value: Any
    because: str = ""


def given_options(architecture: Mapping[str, Any] | None) -> Architecture:
    """The options that were given, checked one by one; None values count as not given.

    Raises InputError for an unknown name and for a value that no model can have.
    """
    given = {key: value for key, value in (architecture or {}).items() if value is not None}
    for key, value in given.items():
        if key not in OPTIONS:
            near = did_you_mean(str(key), OPTIONS) or f": they are {', '.join(OPTIONS)}"
            raise InputError(f"no architecture option {key!r}{near}")
        if key in COUNTS and not _is_count(value):
            raise InputError(f"{key} must be a whole number of at least 1, got {shown(value)}")
        if key in COUNTS and value > COUNTS[key]:
            raise InputError(f"{key} must be at most {COUNTS[key]:,}, got {shown(value)}")
        if key == "dropout" and not _is_rate(value):
            raise InputError(f"dropout must be a number from 0 to below 1, got {shown(value)}")
        if key == "pool" and not (isinstance(value, str) and value in POOLS):
            raise InputError(f"pool must be {' or '.join(POOLS)}, got {shown(value)}")
    return given


def refuse_options(name: str, given: Architecture) -> None:
    """Raise InputError if options were given for a model that has none."""
    if given:
        asked = ", ".join(f"{key} {value}" for key, value in given.items())
        raise InputError(
            f"{name} has no architecture options, but {asked} was given: leave it out, or use "
            f"{', '.join(MODELS[:-1])} or {MODELS[-1]}"
        )


def resolved(
    name: str, path: Path, defaults: Architecture, told: Mapping[str, Told], given: Architecture
) -> Architecture:
    """All options of a checkpoint's model: what it tells, else what is given, else the default.

    Raises InputError where what is given contradicts what the checkpoint tells.
    """
    for key, value in given.items():
        held = told.get(key)
        if held is not None and held.because and held.value != value:
            raise InputError(
                f"checkpoint {path} is a {name} with {key} {held.value} ({held.because}), but "
                f"{key} {value} was asked for: leave it out, or use other weights"
            )
    return defaults | {key: held.value for key, held in told.items()} | given


def guessed_heads(name: str, path: Path, dim: int) -> Told:
    """Heads that no weight's shape tells: 4 for dim 128, else heads of 64, or 32, dimensions."""
    if dim == 128:
        return Told(4)
    for each in (64, 32):
        if dim % each == 0:
            return Told(dim // each)
    raise InputError(
        f"checkpoint {path} does not say how many heads its {name} of dim {dim} has: store "
        "architecture={'heads': N} beside the weights"
    )


def check_heads(name: str, dim: int, heads: int) -> None:
    """Raise InputError unless the heads share the width evenly."""
    if dim % heads:
        raise InputError(
            f"{name} shares dim {dim} among its heads, and {heads} of them do not divide it: "
            "choose other numbers"
        )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_rate(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1
