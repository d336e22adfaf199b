"""Every computation of attention in a forward, with the module that does it, as it happens."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from vitprobe.taps.attention_layout import from_qkv, other_tokens
from vitprobe.taps.attention_mha import SDPA, run_and_read
from vitprobe.taps.attention_site import Found
from vitprobe.taps.attention_softmax import CASTS, PRODUCTS, SOFTMAX, OpenWeights, softmax_axis
from vitprobe.taps.hooks import hooked
from vitprobe.taps.outputs import site_name

Observe = Callable[[str, Found], None]  # (name of the site, what it gives)

_ATTENTION = re.compile("attn|attention|mhsa", re.IGNORECASE)


def attention_like(module: nn.Module) -> bool:
    """Does the name of its class speak of attention?"""
    return bool(_ATTENTION.search(getattr(module, "original_name", type(module).__name__)))


class _Running(NamedTuple):
    path: str
    module: nn.Module
    shape: tuple[int, ...]  # of its first tensor argument


@contextmanager
def attention_calls(model: nn.Module, observe: Observe) -> Iterator[set[str]]:
    """During each forward of `model`, `observe` gets each attention as it is computed.

    A site is named by the innermost module whose forward is running; calls are counted afresh in
    each forward. The set holds the paths of the modules that ran in any of them. timm's modules
    compute attention by scaled_dot_product_attention meanwhile: `as_found` restores their flags.

    Raises InputError for a TorchScript program, as `hooked` does.
    """
    stack: list[_Running] = []
    ran: set[str] = set()
    counts: dict[str, int] = {}
    weights = OpenWeights()

    def begin() -> None:
        stack.clear()
        counts.clear()
        weights.clear()

    def report(path: str, found: Found) -> None:
        counts[path] = call = counts.get(path, 0) + 1
        observe(site_name(path, call, None), found)

    def enter(path: str) -> Callable:
        def hook(module: nn.Module, args: tuple, kwargs: dict) -> None:
            ran.add(path)
            inputs = (x for x in (*args, *kwargs.values()) if isinstance(x, Tensor))
            shapes = (tuple(x.shape) for x in inputs if not x.is_nested)
            stack.append(_Running(path, module, next(shapes, ())))

        return hook

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        if not stack:
            return
        left = stack.pop().path
        if stack and weights:
            weights.handed_on(left, output, *stack[-1])
        for path, found in weights.left(left):
            report(path, found)

    for module in model.modules():
        if vars(module).get("fused_attn") is False:
            module.fused_attn = True
    handles = []
    with hooked(model, {}, lambda *_: None, begin):
        try:
            for path, module in model.named_modules():
                if not path or _may_attend(module):
                    handles += [
                        module.register_forward_pre_hook(enter(path), with_kwargs=True),
                        module.register_forward_hook(leave, always_call=True),
                    ]
            with _Mode(stack, weights, report):
                yield ran
        finally:
            for handle in handles:
                handle.remove()


def _may_attend(module: nn.Module) -> bool:
    """Not torch's own leaves (Linear, Dropout, Softmax, ...): a hook on each costs time, and a
    softmax belongs to the module that has it. A TorchScript program takes no hooks."""
    if isinstance(module, torch.jit.RecursiveScriptModule):
        return False
    own = type(module).__module__.startswith("torch.nn.")
    return not own or any(True for _ in module.children())


class _Mode(TorchFunctionMode):
    """Sees the calls of torch's functions, wherever they were imported from."""

    def __init__(self, stack: list[_Running], weights: OpenWeights, report: Observe):
        super().__init__()
        self.stack, self.weights, self.report = stack, weights, report

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if not self.stack or self.stack[0].path:  # not in a forward of the model
            return func(*args, **kwargs)
        path, module, shape = self.stack[-1]
        if func is functional.multi_head_attention_forward:
            output, found = run_and_read(module, args, kwargs)
            self.report(path, found)
            return output
        if func is SDPA:
            output = func(*args, **kwargs)
            self.report(path, from_qkv(module, shape, *args, **kwargs))
            return output
        if func in SOFTMAX:
            output = func(*args, **kwargs)
            self._softmax(output, softmax_axis(args, kwargs))
            return output
        if not self.weights:
            return func(*args, **kwargs)
        if func in PRODUCTS:
            for owner, found in self.weights.multiplied(args):
                self.report(owner, found)
        output = func(*args, **kwargs)
        if func in CASTS:
            self.weights.copied(args[0], output)
        return output

    def _softmax(self, output: Tensor, axis: int | None) -> None:
        path, module, shape = self.stack[-1]
        if output.ndim < 3 or axis not in (-1, output.ndim - 1):
            return
        queries, keys = output.shape[-2:]
        if queries != keys:
            if attention_like(module):
                self.report(path, Found(None, reason=other_tokens(queries, keys)))
        elif keys > 1 or attention_like(module):
            self.weights.add(path, module, shape, output)
