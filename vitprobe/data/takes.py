"""Which parts of what a DataLoader gave go to a model: read off the parameters of its forward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import Any

import torch
from torch import Tensor

from vitprobe.data.batch import IMAGE_KEYS, LABEL_KEYS
from vitprobe.data.model_input import ModelInput, described
from vitprobe.errors import InputError

NEVER_PASSED = (*LABEL_KEYS, "label_ids", "target", "targets")

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)

Way = Tensor | ModelInput
Runs = Callable[[Way], bool]


class Takes:
    """item -> what one model is given of it: a tensor of images, or a ModelInput.

    A mapping: the keys that the forward has as parameters, by keyword; with **kwargs also its other
    tensors. Labels are not passed, unless the forward cannot do without. If its first parameter is
    not among the keys, the images (`image`, `images`, `pixel_values`) take that place; where there
    are none, a forward with one parameter gets the mapping as it is.

    A tuple or list: its first element, images; a list, tuple or mapping there is given as it is (a
    mapping by its keys, if they are parameters). A forward that needs two inputs or more gets that
    many elements in order; labels at the end are not counted.

    Anything else is the images. Where two ways are possible (several floating-point tensors and one
    parameter; a mapping with images whose keys are no parameters), the images alone are tried on a
    few examples, then the whole; the first way on which the forward runs is kept.

    Args:
        parameters: of the forward, without `self`; () where they are unknown.
        runs: whether the forward runs on an input; None: the first way is taken untried.
    """

    def __init__(self, parameters: Sequence[Parameter] = (), runs: Runs | None = None):
        places = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        positional = [p for p in parameters if p.kind in places]
        kinds = {p.kind for p in parameters}
        self._first = positional[0].name if positional else None
        self._needed = [p.name for p in positional if p.default is Parameter.empty]
        self._keywords = {
            p.name
            for p in parameters
            if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        }
        self._any_keyword = Parameter.VAR_KEYWORD in kinds
        self._any_number = Parameter.VAR_POSITIONAL in kinds
        self._runs, self._kept = runs, None

    def __call__(self, item: Any) -> Way:
        """Raises InputError for an item that lacks what the forward needs."""
        ways = self._ways(item)
        if len(ways) == 1 or self._runs is None:
            return ways[0]()
        if self._kept is None:
            self._kept = next((k for k, way in enumerate(ways) if self._fits(way)), 0)
        return ways[self._kept]()

    def _fits(self, way: Callable[[], Way]) -> bool:
        try:
            x = way()
        except InputError:
            return False
        return self._runs(x)

    def _ways(self, item: Any) -> list[Callable[[], Way]]:
        if isinstance(item, Mapping):
            return self._of_mapping(item)
        if isinstance(item, (list, tuple)):
            return self._of_sequence(item)
        if len(self._needed) > 1:
            raise self._lacks(item)
        return [lambda: item]

    def _of_mapping(self, item: Mapping) -> list[Callable[[], Way]]:
        inputs = [key for key in item if key not in NEVER_PASSED or key in self._needed]
        named = {key: item[key] for key in inputs if key in self._keywords}
        image = next((key for key in IMAGE_KEYS if key in item and key not in named), None)
        args = ()
        has_place = self._first or self._any_number or not self._any_keyword
        if has_place and self._first not in named and (self._first in self._needed or not named):
            args = () if image is None else (item[image],)
        if self._any_keyword:
            tensors = (key for key in inputs if isinstance(item[key], Tensor))
            named |= {key: item[key] for key in tensors if not args or key != image}
        if not args and not named and len(self._needed) < 2:
            return [lambda: ModelInput((item,))]
        missing = [name for name in self._needed if name not in named]
        if missing[len(args) :]:
            raise self._lacks(item)
        if args and not named:
            return [lambda: args[0], lambda: ModelInput((item,))]
        if not args and list(named) == [self._first] and isinstance(named[self._first], Tensor):
            return [lambda: named[self._first]]
        return [lambda: ModelInput(args, named)]

    def _of_sequence(self, item: Sequence) -> list[Callable[[], Way]]:
        if not item:
            raise InputError("the data gave an empty tuple: expected (image, label)")
        first, count = item[0], len(self._needed)
        kept = item[:-1] if len(item) > 1 and is_labels(item[-1]) else item
        if count > 1:
            if len(kept) < count and self._has_all(first):
                return self._ways(first)
            if len(item) < count:
                raise self._lacks(item)
            return [lambda: ModelInput(tuple(item[:count]))]
        if isinstance(first, Mapping):
            return self._of_mapping(first)
        if isinstance(first, (list, tuple)):
            return [lambda: ModelInput((first,))]
        ways = [lambda: first]
        if any(isinstance(x, Tensor) and x.is_floating_point() and x.ndim > 1 for x in item[1:]):
            if self._any_number:
                ways.append(lambda: ModelInput(tuple(kept)))
            ways += [lambda: ModelInput((kept,)), lambda: ModelInput((item,))]
        return ways

    def _has_all(self, value: Any) -> bool:
        if isinstance(value, Mapping):
            return set(self._needed) <= set(value)
        return isinstance(value, (list, tuple)) and len(value) >= len(self._needed)

    def _lacks(self, item: Any) -> InputError:
        return InputError(
            f"the model's forward needs {', '.join(self._needed)}, but the data gave "
            f"{described(item)}"
        )


def is_labels(x: Any) -> bool:
    """Whether it looks like a class index for each example: integers (n,)."""
    return isinstance(x, Tensor) and x.ndim == 1 and x.dtype in _INTEGERS
