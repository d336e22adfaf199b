"""Attention weights of models that multiply q, k and v out themselves: softmax, then a product."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from vitprobe.taps.attention_layout import from_weights
from vitprobe.taps.attention_site import Found

SOFTMAX = frozenset(
    (torch.softmax, torch.Tensor.softmax, functional.softmax, torch.special.softmax)
)
PRODUCTS = frozenset(
    (
        *(torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.__rmatmul__),
        *(torch.bmm, torch.Tensor.bmm, torch.einsum),
    )
)
CASTS = frozenset(
    getattr(torch.Tensor, name)
    for name in ("to", "type", "type_as", "float", "half", "bfloat16", "contiguous", "reshape")
)


@dataclass
class Weights:
    """A softmax of one module that may turn out to be its attention, until a product takes it."""

    module: nn.Module
    shape: tuple[int, ...]  # of the module's input
    tensor: Tensor
    version: int | None
    copies: list[Tensor] = field(default_factory=list)  # in another type or layout


class OpenWeights:
    """The softmaxes of the modules that are running, by module path.

    A softmax is attention weights if the module multiplies this very tensor with something, its
    values. If it first mixes heads, gates or adds, what it weights its values with is another
    matrix, and there is nothing to be read.
    """

    def __init__(self) -> None:
        self._open: dict[str, list[Weights]] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def clear(self) -> None:
        """Forgets all of them."""
        self._open.clear()

    def add(self, path: str, module: nn.Module, shape: tuple[int, ...], tensor: Tensor) -> None:
        """A softmax (..., T, T) over the last axis."""
        weights = Weights(module, shape, tensor, _version(tensor))
        self._open.setdefault(path, []).append(weights)

    def copied(self, source: object, result: object) -> None:
        """`result` is `source` in another type or layout."""
        if isinstance(source, Tensor) and isinstance(result, Tensor):
            for weights in self._all():
                if _owns(weights, source) and not _owns(weights, result):
                    weights.copies.append(result)

    def multiplied(self, args: tuple) -> Iterator[tuple[str, Found]]:
        """What a product of these arguments shows: (path, attention)."""
        operands = [x for x in _flat(args) if isinstance(x, Tensor)]
        for path, waiting in list(self._open.items()):
            for weights in list(waiting):
                taken = [_owns(weights, x) for x in operands]
                if not any(taken):
                    continue
                self._close(path, weights)
                if _version(weights.tensor) != weights.version:
                    yield path, Found(None, reason=_why_changed(weights.module))
                    continue
                values = sum(x.numel() for x, own in zip(operands, taken, strict=True) if not own)
                yield path, from_weights(weights.module, weights.shape, weights.tensor, values)

    def handed_on(
        self, path: str, output: object, to: str, module: nn.Module, shape: tuple
    ) -> None:
        """Softmaxes that the module at `path` returns are those of the one that called it."""
        returned = [x for x in _flat((output,)) if isinstance(x, Tensor)]
        for weights in list(self._open.get(path, ())):
            if any(_owns(weights, x) for x in returned):
                self._close(path, weights)
                weights.module, weights.shape = module, shape
                self._open.setdefault(to, []).append(weights)

    def left(self, path: str) -> Iterator[tuple[str, Found]]:
        """What is known when the module has returned: its softmaxes went nowhere."""
        for weights in self._open.pop(path, ()):
            yield path, Found(None, reason=_why_changed(weights.module))

    def _all(self) -> Iterator[Weights]:
        for waiting in self._open.values():
            yield from waiting

    def _close(self, path: str, weights: Weights) -> None:
        self._open[path].remove(weights)
        if not self._open[path]:
            del self._open[path]


def softmax_axis(args: tuple, kwargs: dict) -> int | None:
    """The `dim` of a call of one of SOFTMAX."""
    return kwargs.get("dim", args[1] if len(args) > 1 else None)


def _why_changed(module: nn.Module) -> str:
    if hasattr(module, "proj_l") and hasattr(module, "proj_w"):
        return "talking heads: its proj_l and proj_w mix the attention of the heads"
    return "its softmax is changed before it is multiplied with the values"


def _owns(weights: Weights, x: Tensor) -> bool:
    """Does x have the memory of these weights? They are held, so that no other tensor can."""
    address = x.untyped_storage().data_ptr()
    return any(
        address == own.untyped_storage().data_ptr() for own in (weights.tensor, *weights.copies)
    )


def _version(tensor: Tensor) -> int | None:
    return None if tensor.is_inference() else tensor._version


def _flat(args: tuple) -> Iterator[object]:
    for arg in args:
        if isinstance(arg, list | tuple):
            yield from arg
        else:
            yield arg
