"""q, k and v inside torch.nn.functional.multi_head_attention_forward, at no cost.

All of nn.MultiheadAttention and nn.TransformerEncoder comes through that function: under a
TorchFunctionMode torch leaves its fused shortcuts aside.
"""

from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from vitprobe.taps.attention_layout import from_qkv, other_tokens
from vitprobe.taps.attention_site import Found

SDPA = functional.scaled_dot_product_attention


class _Products(TorchFunctionMode):
    """Keeps the arguments of the products of attention, for as long as one call of it takes."""

    def __init__(self):
        super().__init__()
        self.calls: list[tuple[Any, tuple, dict]] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (SDPA, torch.bmm, torch.baddbmm):
            self.calls.append((func, args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def run_and_read(module: nn.Module, args: tuple, kwargs: dict) -> tuple[Any, Found]:
    """(what torch.nn.functional.multi_head_attention_forward returns, the attention in it).

    args: as torch hands them to a mode: query, key, value, width, heads, ... by position.
    """
    query, key, heads = args[0], args[1], args[4]
    with _Products() as products:
        output = _seen_through()(*args, **kwargs)
    if query.shape == key.shape and not _same(query, key):
        return output, Found(None, reason="cross attention: k is of other tokens than q")
    return output, _read(module, heads, products.calls)


def _read(module: nn.Module, heads: int, calls: list[tuple[Any, tuple, dict]]) -> Found:
    functions = [call[0] for call in calls]
    if functions == [SDPA]:
        _, args, kwargs = calls[0]
        return from_qkv(module, (), *args, **kwargs)
    if functions in ([torch.bmm, torch.bmm], [torch.baddbmm, torch.bmm]):  # weights are returned
        *mask, q, k = calls[0][1]
        _, v = calls[1][1]
        q, k, v = (x.unflatten(0, (-1, heads)) for x in (q, k.transpose(1, 2), v))
        if q.shape[2] != k.shape[2]:
            return Found(None, reason=other_tokens(q.shape[2], k.shape[2]))
        bias = mask[0] if mask else None
        if bias is not None and len(bias) != 1:
            bias = bias.unflatten(0, (-1, heads))
        return from_qkv(module, (), q, k, v, bias, scale=1.0)  # this q is scaled already
    return Found(None, reason="this torch computes nn.MultiheadAttention in an unknown way")


def _seen_through() -> FunctionType:
    """The function without its first question, whether a mode is on: it would hand over to the
    mode again, before anything is computed."""
    function = functional.multi_head_attention_forward
    scope = {**vars(functional), "has_torch_function": lambda tensors: False}
    copy = FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _same(query: Tensor, key: Tensor) -> bool:
    if query is key or (query.data_ptr() == key.data_ptr() and query.stride() == key.stride()):
        return True
    return torch.equal(query, key)
