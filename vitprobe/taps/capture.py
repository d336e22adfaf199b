"""Hand every activation to a callback while it exists, inside the forward."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vitprobe.errors import InputError
from vitprobe.models import unwrapped
from vitprobe.models.restore import as_found
from vitprobe.taps.hooks import hooked
from vitprobe.taps.identity import SeenTensors
from vitprobe.taps.outputs import tensors
from vitprobe.taps.sites import Site
from vitprobe.taps.tokens import check_tokens, select_tokens, why_no_tokens

Callback = Callable[[Site, torch.Tensor, Site | None], None]


@dataclass(frozen=True)
class Request:
    """Sites of which `callback(site, x, twin)` is wanted as they fire, with `tokens` selected."""

    sites: tuple[Site, ...]
    callback: Callback
    tokens: str = "all"


@contextmanager
def capture(
    model: nn.Module, sites: Iterable[Site], callback: Callback, tokens: str = "all"
) -> Iterator[None]:
    """During each forward of `model` inside, `callback(site, x, twin)` for every site, as it fires.

    x: (n, ...), the examples first, with `tokens` selected; a view of the live activation wherever
    possible: it is read at once, not kept (the next in-place operation overwrites it) and not
    written. twin: the earlier of these sites which gave this very tensor in this forward, or None
    (always None under torch.inference_mode, where tensors have no version).
    The number of examples may differ between forwards. The model runs in eval mode, without
    gradients, and is left as found, also when the forward or the callback raises. It may be called
    inside or without a wrapper (DataParallel, torch.compile's, an averaged one).

    A site that does not fire this time gets no call.

    Raises InputError before any forward for a site that cannot be read, and inside the forward when
    a site has not the shape of the survey.
    """
    with capture_all(model, [Request(tuple(sites), callback, tokens)]):
        yield


@contextmanager
def capture_all(model: nn.Module, requests: Sequence[Request]) -> Iterator[None]:
    """`capture` for several at once, which share the hooks; in their order where they share a
    site."""
    model = unwrapped(model)
    plan: dict[tuple[str, int], dict[Any, list[tuple[int, Site]]]] = {}
    for number, request in enumerate(requests):
        check_tokens(request.tokens)
        for site in request.sites:
            reason = site.reason or why_no_tokens(site.shape, site.tokens, request.tokens)
            if reason:
                raise InputError(f"layer {site.name!r} cannot be read: {reason}")
            of_call = plan.setdefault((site.module, site.call), {})
            of_call.setdefault(site.keys, []).append((number, site))

    seen: list[SeenTensors[Site]] = []
    examples = None

    def begin() -> None:
        nonlocal examples
        seen[:], examples = [SeenTensors() for _ in requests], None

    def observe(path: str, call: int, output: Any) -> None:
        nonlocal examples
        wanted = plan.get((path, call))
        if wanted is None:
            return
        for keys, tensor in tensors(output):
            for number, site in wanted.get(keys, ()):
                count = None if tensor.is_nested else site.where.count(tensor.shape, site.shape)
                if count is None or examples not in (None, count):
                    raise InputError(_other_shape(site, tensor, examples))
                examples = count
                twin = seen[number].first_owner(tensor, site)
                if twin is not None and (twin.twin or twin.name) != site.twin:
                    twin = None  # not so in the survey, where the values were compared as well
                request = requests[number]
                x = select_tokens(site.where.view(tensor), site.tokens, request.tokens)
                request.callback(site, x, twin)

    modules = {path: model.get_submodule(path) for path in dict.fromkeys(path for path, _ in plan)}
    with as_found(model), torch.no_grad(), hooked(model, modules, observe, begin):
        yield


def _other_shape(site: Site, tensor: torch.Tensor, examples: int | None) -> str:
    if tensor.is_nested:
        return f"layer {site.name!r} gave a nested tensor, but a plain one in the survey"
    among = f" in a forward of {examples} examples" if examples else ""
    return (
        f"layer {site.name!r} gave the shape {tuple(tensor.shape)}{among}, but in the survey "
        f"{site.shape} per example: survey the model with images of this size, or leave the layer "
        "out if its shape changes from call to call"
    )
