"""What one forward of a model is given, where that is more than one tensor of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vitprobe.errors import InputError

_SHOWN = 6  # elements of a list that `described` names


@dataclass(frozen=True)
class ModelInput:
    """Positional and keyword arguments of a forward, for some examples.

    Their tensors, also those inside lists, tuples and mappings, have the examples along axis 0.
    What has no axis (numbers, text, None, tensors of one number) is passed on as it is.

    Raises:
        InputError: no tensor has examples, or they have different numbers of them.
    """

    args: tuple = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        counts = {len(x) for x in self.tensors}
        if not counts:
            raise InputError(f"no tensor among the model's inputs {self}")
        if len(counts) > 1:
            raise InputError(f"the model's inputs have different numbers of examples: {self}")

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.tensors[0])

    def __getitem__(self, rows: slice | list[int]) -> ModelInput:
        """These examples."""
        return self.map(lambda x: x[rows] if x.ndim else x)

    def __str__(self) -> str:
        """`((8, 3, 32, 32), mask=(8, 64) bool)`."""
        named = (f"{key}={described(value)}" for key, value in self.kwargs.items())
        return f"({', '.join([*map(described, self.args), *named])})"

    @property
    def tensors(self) -> list[Tensor]:
        """Every tensor with examples, in order."""
        return [x for x in _tensors((self.args, self.kwargs)) if x.ndim]

    @property
    def device(self) -> torch.device:
        return self.tensors[0].device

    def map(self, change: Callable[[Tensor], Tensor]) -> ModelInput:
        """The same arguments with every tensor changed."""
        return ModelInput(_mapped(self.args, change), _mapped(self.kwargs, change))


def run(model: nn.Module, x: Tensor | ModelInput) -> Any:
    """The model's output for a tensor, or for arguments as they were given."""
    return model(*x.args, **x.kwargs) if isinstance(x, ModelInput) else model(x)


def tensors_of(x: Tensor | ModelInput) -> list[Tensor]:
    """The tensor, or every tensor with examples."""
    return x.tensors if isinstance(x, ModelInput) else [x]


def image_of(x: Tensor | ModelInput) -> Tensor:
    """The tensor, or the first floating-point one of shape (n, C, H, W).

    Raises:
        InputError: there is none.
    """
    if isinstance(x, Tensor):
        return x
    for tensor in x.tensors:
        if tensor.ndim == 4 and tensor.is_floating_point():
            return tensor
    raise InputError(f"no floating-point images (n, C, H, W) among the model's inputs {x}")


def joined(first: Tensor | ModelInput, second: Tensor | ModelInput) -> Tensor | ModelInput:
    """The examples of both, which have the same inputs; what has no examples is the first's."""
    if isinstance(first, Tensor):
        return torch.cat([first, second])
    others = _tensors((second.args, second.kwargs))
    return first.map(lambda x: torch.cat([x, other]) if (other := next(others)).ndim else x)


def distinct(inputs: Sequence[Tensor], most: int | None = None) -> tuple[list[int], list[int]]:
    """Rows of the examples that differ, in any input, from all before, the first `most`; and for
    each example up to the last of these, which of them it is."""
    rows, places = [], []
    for index in range(len(inputs[0])):
        same = (all(torch.equal(x[index], x[row]) for x in inputs) for row in rows)
        place = next((place for place, equal in enumerate(same) if equal), len(rows))
        if place == len(rows):
            rows.append(index)
        places.append(place)
        if len(rows) == most:
            break
    return rows, places


def described(value: Any) -> str:
    """What somebody gave, in a few words: `{image: (8, 3, 32, 32), label: (8,) int64}`."""
    if isinstance(value, Tensor):
        kind = "" if value.is_floating_point() else f" {str(value.dtype).removeprefix('torch.')}"
        return f"{tuple(value.shape)}{kind}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {described(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        more = [*map(described, value[:_SHOWN]), *["..."] * (len(value) > _SHOWN)]
        return f"[{', '.join(more)}]"
    return type(value).__name__


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same containers, of the same types, with other tensors."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        items = {key: _mapped(item, change) for key, item in value.items()}
        if type(value) is dict or not hasattr(value, "update"):
            return items
        other = copy(value)
        other.update(items)
        return other
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a named tuple
        return type(value)(*(_mapped(item, change) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(item, change) for item in value)
    return value
