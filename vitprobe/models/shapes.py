"""Reading a Vision Transformer's options off the names and shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from vitprobe.models.architecture import Told


def shape_of(state: Mapping[str, Tensor], key: str, ndim: int) -> tuple[int, ...] | None:
    """A weight's shape; None where it is absent or has another number of dimensions."""
    held = state.get(key)
    return tuple(held.shape) if held is not None and held.ndim == ndim else None


def counted(state: Mapping[str, Tensor], layer: str) -> dict[str, Told]:
    """{"depth": ...} from the keys that the pattern `layer` begins, whose group is a number."""
    found = [int(match[1]) for key in state if (match := re.match(layer, key))]
    if not found:
        return {}
    last = next(key for key in state if (m := re.match(layer, key)) and int(m[1]) == max(found))
    return {"depth": Told(max(found) + 1, last)}
