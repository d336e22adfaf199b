"""Forward hooks that know which call of which module they see, and are gone afterwards."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from vitprobe.errors import InputError
from vitprobe.models.wrapped import as_written

Observe = Callable[[str, int, Any], None]  # (module path, call from 1, output)


@contextmanager
def hooked(
    model: nn.Module,
    modules: Mapping[str, nn.Module],
    observe: Observe,
    begin: Callable[[], None],
) -> Iterator[None]:
    """During each forward of `model`, `observe` gets the outputs of `modules` as they come.

    Calls are counted afresh in each forward, also after one that raised. `begin` is called before
    each. A forward of the model within its own forward
    belongs to the outer one; a module called outside a forward of the model is not observed.
    What torch.compile has compiled runs as it was written: compiled code passes hooks by.

    Raises InputError for a TorchScript program, which takes no hooks; where it is only a part of
    the model, nothing in it is observed.
    """
    if isinstance(model, torch.jit.RecursiveScriptModule):
        raise InputError(
            "a TorchScript program does not show its layers: give the module it was made from"
        )
    counts: dict[str, int] = {}
    depth = 0

    def enter(module: nn.Module, args: Any) -> None:
        nonlocal depth
        depth += 1
        if depth == 1:
            counts.clear()
            begin()

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        nonlocal depth
        depth -= 1

    def observer(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if depth:
                counts[path] = call = counts.get(path, 0) + 1
                observe(path, call, output)

        return hook

    handles = []
    try:
        handles.append(model.register_forward_pre_hook(enter, prepend=True))
        for path, module in modules.items():
            if not isinstance(module, torch.jit.RecursiveScriptModule):
                handles.append(module.register_forward_hook(observer(path)))
        handles.append(model.register_forward_hook(leave, always_call=True))
        with as_written():
            yield
    finally:
        for handle in handles:
            handle.remove()
