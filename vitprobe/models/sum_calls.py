"""Every sum of two tensors in a forward, with the module that makes it, as it happens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitprobe.models.wrapped import as_written

_IN_PLACE = frozenset((Tensor.add_, Tensor.__iadd__))
_ADDS = _IN_PLACE | {torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__}


class SumKey(NamedTuple):
    """Which sum it is: the `place`-th (from 0) that the `call`-th call (from 1) of the module at
    this path makes itself, not in a module below it."""

    module: str
    call: int
    place: int


@dataclass(frozen=True)
class SumCall:
    """A sum that is about to be made, as the model asked for it.

    operands: the two tensors, as they are before it: an in-place sum overwrites the first.
    in_place: whether it is one.
    """

    operands: tuple[Tensor, Tensor]
    in_place: bool
    add: Callable[[], Tensor]  # makes the sum as the model does

    def only(self, operand: int) -> Tensor:
        """One operand in the place of the sum: written over the first one, where the sum is."""
        first = self.operands[0]
        kept = self.operands[operand]
        return first.copy_(kept) if self.in_place and operand else kept


Act = Callable[[SumKey, SumCall], Tensor]


@contextmanager
def sum_calls(
    model: nn.Module, act: Act, on_module: Callable[[str | None], None] | None = None
) -> Iterator[None]:
    """During each forward of `model`, `act(key, call)` takes the place of each sum of two tensors:
    it returns what the model gets.

    Sums are those of `+`, `+=`, torch.add, add and add_ without another factor. Calls and sums are
    counted afresh in each forward. Sums within functions of torch, in compiled programs and outside
    a forward of the model are not seen; what torch.compile has compiled runs as it was written.

    on_module: told the path of every module as its forward begins, and None as one ends.
    """
    mode = _Mode(act)
    handles = []

    def enter(path: str, makes_sums: bool) -> Callable:
        def hook(module: nn.Module, args: Any) -> None:
            if makes_sums:
                mode.enter(path)
            if on_module:
                on_module(path)

        return hook

    def leave(makes_sums: bool) -> Callable:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if makes_sums:
                mode.leave()
            if on_module:
                on_module(None)

        return hook

    try:
        for path, module in model.named_modules():
            makes_sums = not path or _may_add(module)
            scripted = isinstance(module, torch.jit.RecursiveScriptModule)
            if not scripted and (makes_sums or on_module):
                handles += [
                    module.register_forward_pre_hook(enter(path, makes_sums)),
                    module.register_forward_hook(leave(makes_sums), always_call=True),
                ]
        with as_written(), mode:
            yield
    finally:
        for handle in handles:
            handle.remove()


def _may_add(module: nn.Module) -> bool:
    """Not torch's own layers (Linear, ReLU, ...), which add within functions: a hook on each costs
    time."""
    own = type(module).__module__.startswith("torch.nn.")
    return not own or any(True for _ in module.children())


@dataclass
class _Running:
    path: str
    call: int
    sums: int = 0


class _Mode(TorchFunctionMode):
    """Sees the calls of torch's functions, and knows in which module it is."""

    def __init__(self, act: Act):
        super().__init__()
        self._act = act
        self._stack: list[_Running] = []
        self._calls: dict[str, int] = {}

    def enter(self, path: str) -> None:
        if not path and not any(running.path == "" for running in self._stack):
            self._stack.clear()  # of a forward that raised
            self._calls.clear()
        self._calls[path] = call = self._calls.get(path, 0) + 1
        self._stack.append(_Running(path, call))

    def leave(self) -> None:
        if self._stack:
            self._stack.pop()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func not in _ADDS or not self._stack or self._stack[0].path or not _plain(args, kwargs):
            return func(*args, **kwargs)
        running = self._stack[-1]
        key = SumKey(running.path, running.call, running.sums)
        running.sums += 1
        operands = (args[0], args[1] if len(args) > 1 else kwargs["other"])
        call = SumCall(operands, func in _IN_PLACE, lambda: func(*args, **kwargs))
        return self._act(key, call)


def _plain(args: tuple, kwargs: dict) -> bool:
    """Is it of two tensors, as they are, and given no place to go?"""
    operands = args if len(args) > 1 else (*args, kwargs.get("other"))
    tensors = len(operands) == 2 and all(isinstance(x, Tensor) for x in operands)
    return tensors and kwargs.get("alpha", 1) == 1 and kwargs.get("out") is None
