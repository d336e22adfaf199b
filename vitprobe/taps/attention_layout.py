"""Attention as a model computes it -> (B W, H, T, D), or the reason why it is no such thing."""

import torch
from torch import Tensor, nn

from vitprobe.taps.attention_site import Attention, Found

# What a module may call its number of heads; needed only where heads and batch share an axis.
_HEADS = ("num_heads", "num_attention_heads", "heads", "n_heads", "n_head", "nhead", "nheads")


def from_qkv(
    module: nn.Module,  # that computes it
    shape: tuple[int, ...],  # of the module's input; () where nothing is to be learned from it
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Found:
    """From the arguments of torch.nn.functional.scaled_dot_product_attention. A causal mask is a
    bias like any other; `enable_gqa` says nothing that the shapes do not."""
    if query.is_nested or key.is_nested:
        return Found(None, reason="its q and k are nested tensors")
    tokens, keys = query.shape[-2], key.shape[-2]
    if tokens != keys:
        return Found(None, reason=other_tokens(tokens, keys))
    batch = -3 if query.ndim > 3 else -2  # behind it: heads, which may be fewer in k
    if query.shape[:batch] != key.shape[:batch]:
        return Found(None, reason="its q and k have different batches")
    if dropout_p > 0.0:
        return Found(None, reason=f"it drops {dropout_p:g} of its attention by chance")
    if query.ndim == 4:
        q, k, v, bias = query, key, value, attn_mask
    else:
        q, k, v = (heads_second(x, module, shape) for x in (query, key, value))
        bias = _bias_of(attn_mask, query, module, shape)
        for x in (q, k, v):
            if isinstance(x, str):
                return Found(None, reason=x)
    if is_causal:
        bias = torch.ones(tokens, tokens, dtype=torch.bool, device=q.device).tril()
    scale = q.shape[-1] ** -0.5 if scale is None else float(scale)
    attention = Attention(q, k, v, scale, bias, None)
    return Found(attention, q.shape[1], tokens, q.shape[-1], input_shape=shape)


def from_weights(module: nn.Module, shape: tuple[int, ...], weights: Tensor, values: int) -> Found:
    """From a softmax (..., T, T) that is multiplied with a tensor of `values` numbers."""
    p = heads_second(weights, module, shape)
    if isinstance(p, str):
        return Found(None, reason=p)
    head_dim = values // (p.numel() // p.shape[-1])
    attention = Attention(None, None, None, 1.0, None, p)
    return Found(attention, p.shape[1], p.shape[-1], head_dim, input_shape=shape)


def other_tokens(queries: int, keys: int) -> str:
    """The reason for keys that are not the tokens of the queries."""
    return f"q and k have different numbers of tokens: {queries} and {keys}"


def heads_second(x: Tensor, module: nn.Module, shape: tuple[int, ...]) -> Tensor | str:
    """(B W, H, ., .) from that, (B W, ., .), (B W H, ., .), (B, W, H, ., .) or (B, H, W, ., .); or
    why it cannot be had. `shape`: of the module's input, whose batch comes first."""
    if x.ndim == 4:
        return x
    heads = _heads(module)
    if x.ndim == 3 and x.shape[:1] == shape[:1]:
        heads = 1  # nothing but the batch of the input: one head, or one after the other
    if x.ndim == 3 and heads and x.shape[0] % heads == 0:
        return x.unflatten(0, (-1, heads))
    if x.ndim == 5 and x.shape[1] != x.shape[2] and heads in x.shape[1:3]:
        return (x if x.shape[2] == heads else x.transpose(1, 2)).flatten(0, 1)
    return f"which axis of {tuple(x.shape)} has its heads cannot be told"


def _heads(module: nn.Module) -> int | None:
    for name in _HEADS:
        heads = getattr(module, name, None)
        if isinstance(heads, int) and heads > 0:
            return heads
    return None


def _bias_of(
    mask: Tensor | None, query: Tensor, module: nn.Module, shape: tuple[int, ...]
) -> Tensor | None:
    if mask is None:
        return None
    tokens = query.shape[-2]
    return heads_second(mask.expand(*query.shape[:-1], tokens), module, shape)
