"""Reading a Vision Transformer's options off the names and shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from vitprobe.models.architecture import COUNTS, Told

DIGITS = 6  # of a layer's number


def shape_of(state: Mapping[str, Tensor], key: str, ndim: int) -> tuple[int, ...] | None:
    """A weight's shape; None where it is absent or has another number of dimensions."""
    held = state.get(key)
    return tuple(held.shape) if held is not None and held.ndim == ndim else None


def counted(state: Mapping[str, Tensor], layer: str) -> dict[str, Told]:
    """{"depth": ...} from the keys that the pattern `layer` begins, whose group is a number.

    Numbers that are not those of layers one after another, from 0, tell nothing.
    """
    found: dict[int, str] = {}  # the first key of each layer
    for key in state:
        match = re.match(layer, key)
        if match and len(match[1]) <= DIGITS:
            found.setdefault(int(match[1]), key)
    if not found or max(found) + 1 != len(found) or len(found) > COUNTS["depth"]:
        return {}
    return {"depth": Told(len(found), found[max(found)])}
