"""What a module is given beside what it gives, at the moment when it ends."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vitprobe.models import unwrapped
from vitprobe.models.restore import as_found
from vitprobe.taps.hooks import hooked
from vitprobe.taps.sites import Site
from vitprobe.taps.writes import WriteWatch


@dataclass(frozen=True)
class Call:
    """One call of a module that has just ended. To be read at once, and not kept.

    args, kwargs: its inputs, the very tensors. output: what its forward gave. overwritten: whether
    an input tensor was written to meanwhile, and is no longer what the module was given.
    """

    args: tuple
    kwargs: dict[str, Any]
    output: Any
    overwritten: bool


Take = Callable[[Site, Call], None]


@contextmanager
def capture_calls(model: nn.Module, sites: Sequence[Site], take: Take) -> Iterator[None]:
    """During each forward of `model` inside, `take(site, call)` for each of these sites' calls.

    sites: of `survey`, each for the call of its module; whether its output can be read as an
    activation does not matter. The model runs in eval mode, without gradients, and is left as
    found, also when the forward or `take` raises. A call that does not happen is not told.
    """
    model = unwrapped(model)
    wanted = {(site.module, site.call): site for site in sites}
    running: dict[str, list[tuple[int, list[WriteWatch]]]] = {}
    counts: dict[str, int] = {}

    def begin() -> None:
        running.clear()
        counts.clear()

    def enter(path: str) -> Callable:
        def hook(module: nn.Module, args: tuple, kwargs: dict) -> None:
            counts[path] = counts.get(path, 0) + 1
            inputs = [x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
            watches = [WriteWatch(x) for x in inputs if x.layout == torch.strided]
            running.setdefault(path, []).append((counts[path], watches))

        return hook

    def leave(path: str) -> Callable:
        def hook(module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
            if not running.get(path):  # outside a forward of the model
                return
            call, watches = running[path].pop()
            site = wanted.get((path, call))
            if site is not None:
                overwritten = any(watch.written() for watch in watches)
                take(site, Call(args, kwargs, output, overwritten))

        return hook

    handles = []
    with as_found(model), torch.no_grad(), hooked(model, {}, lambda *_: None, begin):
        try:
            for path in dict.fromkeys(path for path, _ in wanted):
                module = model.get_submodule(path)
                handles += [
                    module.register_forward_pre_hook(enter(path), with_kwargs=True),
                    module.register_forward_hook(leave(path), with_kwargs=True),
                ]
            yield
        finally:
            for handle in handles:
                handle.remove()
