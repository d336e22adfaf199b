"""What a file says of its weights beside them: checked for type and range before it is used.

A file is not trusted: it may say that its model is any program, its images are larger than memory,
or nothing that makes sense. What is out of range counts as not said, and `ignored` tells so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vitprobe.errors import InputError, option
from vitprobe.models.architecture import Told, given_options
from vitprobe.models.from_torchvision import PREFIX
from vitprobe.models.image_sizes import LARGEST, Frame
from vitprobe.models.spec import parse_spec
from vitprobe.models.without_skip import ARGUMENT, checked_block
from vitprobe.text import SHORT, printable, shown

Channels = tuple[float, float, float]

MEANS = (-1.0, 1.0)  # of images whose values are 0 to 1
STDS = (1e-3, 10.0)  # 1 / 255 is in use
NAME = 200  # characters of a model's name with its arguments
NUMBER = 4096  # a whole number among these arguments, at most
# Parts of arguments' names that name other files, hubs or weights.
ELSEWHERE = re.compile(
    r"pretrained|weights|checkpoint|(?<!drop_)path|file|url|cache|dir|cfg|config|hub"
)


def settings(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The choices of the training run; {} where there are none. Its values are unchecked."""
    held = metadata.get("settings")
    return held if isinstance(held, Mapping) else {}


def model_name(metadata: Mapping[str, Any], path: Path) -> str | None:
    """The model that the weights are of, by its name: of ours, timm's or torchvision's.

    Raises InputError for a name that would import a module, or reach a folder or a network: these
    only the user may choose. That the name is known is not checked.
    """
    name = settings(metadata).get("model")
    if not isinstance(name, str) or not name:
        return None
    told = f"checkpoint {path} says that its model is {shown(name)}"
    if len(name) > NAME:
        raise InputError(f"{told}, which is no name: give {option('model', 'NAME')}")
    try:
        spec = parse_spec(name)
    except InputError as error:
        raise InputError(f"{told}, which is no name: give {option('model', 'NAME')}") from error
    if ":" in spec.name.removeprefix(PREFIX):
        raise InputError(
            f"{told}, and a file does not choose what is imported or fetched: if you trust that "
            f"model, type it: {option('model', printable(spec.model, SHORT))}"
        )
    for key, value in spec.arguments.items():
        if ELSEWHERE.search(key) or not _is_plain(value):
            raise InputError(
                f"{told}: a file does not choose {shown(key)}: give {option('model', 'NAME')}"
            )
    return spec.model


def dataset(metadata: Mapping[str, Any]) -> str:
    """The name of the images that it was trained on; "" where it is not said."""
    name = settings(metadata).get("dataset")
    return name if isinstance(name, str) else ""


def class_names(metadata: Mapping[str, Any]) -> list[str] | None:
    """The classes' names, in order."""
    held = metadata.get("class_names")
    whole = isinstance(held, list) and all(isinstance(name, str) for name in held)
    return held if whole else None


def image_size(metadata: Mapping[str, Any]) -> Frame | None:
    """Height and width of the images that our own training showed, in pixels."""
    held = metadata.get("image_size")
    if not isinstance(held, list) or len(held) != 2:
        return None
    return tuple(held) if all(type(n) is int and 1 <= n <= LARGEST for n in held) else None


def normalization(metadata: Mapping[str, Any]) -> tuple[Channels, Channels] | None:
    """(mean, std) of each channel, for images in [0, 1]."""
    held = metadata.get("normalization", metadata)
    if not isinstance(held, Mapping):
        return None
    mean, std = _channels(held.get("mean"), *MEANS), _channels(held.get("std"), *STDS)
    return (mean, std) if mean and std else None


def options(metadata: Mapping[str, Any], *names: str) -> dict[str, Told]:
    """Those of the options that `architecture`, a dict beside the weights, holds.

    Dropout has no weights and is free to change: what is stored of it counts as a guess.
    """
    stored = metadata.get("architecture")
    told = {}
    for key in names if isinstance(stored, Mapping) else ():
        try:
            found = given_options({key: stored.get(key)})
        except InputError:  # another program's word
            continue
        because = "" if key == "dropout" else f"{key} of its architecture"
        if key in found:
            told[key] = Told(found[key], because)
    return told


def removed_skip(metadata: Mapping[str, Any]) -> int | None:
    """The block without whose skips the weights were trained, or None."""
    held = metadata.get("architecture")
    value = held.get(ARGUMENT) if isinstance(held, Mapping) else None
    try:
        return checked_block(value)
    except InputError:  # another program's word
        return None


def ignored(metadata: Mapping[str, Any]) -> list[str]:
    """A line for each thing that the file says and that makes no sense."""
    lines = []
    held = metadata.get("normalization", metadata)
    has_both = isinstance(held, Mapping) and {"mean", "std"} <= held.keys()
    if has_both and normalization(metadata) is None:
        lines.append(
            f"its mean {shown(held['mean'])} and std {shown(held['std'])} are ignored: for images "
            f"in 0..1 they cannot be ({option('mean')}, {option('std')})"
        )
    size = metadata.get("image_size")
    if isinstance(size, list) and image_size(metadata) is None:
        lines.append(f"its image size {shown(size)} is ignored")
    return lines


def _channels(value: Any, low: float, high: float) -> Channels | None:
    """Three floats in the range, from one or three numbers in whatever they are written."""
    numbers = _numbers(value, depth=4)
    if numbers is None or len(numbers) not in (1, 3):
        return None
    if not all(low <= number <= high for number in numbers):  # not a NaN
        return None
    return tuple(float(number) for number in (numbers * 3)[:3])


def _numbers(value: Any, depth: int) -> list[int | float] | None:
    """The numbers of a list within lists, such as (3, 1, 1); None where it is long or deep."""
    if isinstance(value, Tensor | np.ndarray):
        return _numbers(value.reshape(-1).tolist(), 1) if math.prod(value.shape) <= 3 else None
    if type(value) in (int, float):
        return [value]
    if not isinstance(value, list | tuple) or len(value) > 3 or not depth:
        return None
    parts = [_numbers(part, depth - 1) for part in value]
    return None if None in parts else [number for part in parts for number in part]


def _is_plain(value: Any) -> bool:
    """A number of ordinary size, a word, or several of these."""
    if isinstance(value, list | tuple):
        return len(value) <= 16 and all(_is_plain(part) for part in value)
    if isinstance(value, int):
        return abs(value) <= NUMBER
    return value is None or isinstance(value, str | float)
