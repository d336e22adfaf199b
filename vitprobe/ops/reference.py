"""The operators in pure PyTorch: their specification. Any device, any floating type it has.

float64 is computed in float64; float32, bfloat16 and float16 in float32 (widened first), so that
these functions cost and err what a careful use of torch does. For an oracle, pass float64.
"""

import math
from collections.abc import Callable, Sequence
from functools import wraps

import torch
from torch import Tensor

from vitprobe.ops.wide import wide


def _without_autocast(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Autocast would compute the products in bfloat16."""

    @wraps(function)
    def guarded(first: Tensor, *args, **kwargs) -> Tensor:
        kind = first.device.type
        if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
            return function(first, *args, **kwargs)
        with torch.autocast(kind, enabled=False):
            return function(first, *args, **kwargs)

    return guarded


def _full_gram(x: Tensor) -> Tensor:
    """(n, ...) -> (n, n): X X^T, X less its column mean."""
    rows = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(x.shape[0], -1)
    # Relative to the first row, a constant column becomes exactly zero.
    rows = rows - rows[:1]
    rows = rows - rows.mean(0)
    return rows @ rows.T


def _pack(matrix: Tensor, diagonal: bool) -> Tensor:
    """(n, n) symmetric -> its lower triangle, row by row."""
    n = matrix.shape[0]
    i, j = torch.tril_indices(n, n, 0 if diagonal else -1, device=matrix.device)
    return matrix[i, j]


def _unpack(packed: Tensor) -> Tensor:
    """(n(n+1)/2,) with diagonal -> (n, n) symmetric."""
    n = (math.isqrt(8 * packed.numel() + 1) - 1) // 2
    i, j = torch.tril_indices(n, n, device=packed.device)
    matrix = torch.empty(n, n, dtype=packed.dtype, device=packed.device)
    matrix[i, j] = packed
    matrix[j, i] = packed
    return matrix


def _center(k: Tensor, estimator: str) -> Tensor:
    """(n, n) symmetric -> U-centred ("unbiased") or double-centred ("biased"), in k's type."""
    n = k.shape[0]
    if estimator == "biased":
        row = k.mean(0)
        return k - row[:, None] - row[None, :] + row.mean()
    k = k.clone().fill_diagonal_(0)
    row = k.sum(0) / (n - 2)
    return k - row[:, None] - row[None, :] + row.sum() / (n - 1)


@_without_autocast
def gram(x: Tensor) -> Tensor:
    """Packed Gram matrix of the examples of `x`; see `vitprobe.ops.gram`."""
    return _pack(_full_gram(x), diagonal=True)


@_without_autocast
def center_pack(gram: Tensor, estimator: str = "unbiased") -> Tensor:
    """Centre a packed Gram matrix, in float64; see `vitprobe.ops.center_pack`."""
    centred = _center(wide(_unpack(gram)), estimator)
    return _scale_and_pack(centred, estimator).to(gram.dtype).to(gram.device)


@_without_autocast
def centered_gram(x: Tensor, estimator: str = "unbiased") -> Tensor:
    """`center_pack(gram(x))`; see `vitprobe.ops.centered_gram`."""
    k = _full_gram(x)
    centred = _scale_and_pack(_center(wide(k), estimator), estimator)
    return centred.to(k.dtype).to(k.device)


def centered_grams(xs: Sequence[Tensor], estimator: str = "unbiased") -> Tensor:
    """`centered_gram` of each, stacked; see `vitprobe.ops.centered_grams`."""
    return torch.stack([centered_gram(x, estimator) for x in xs])


def first_norms(xs: Sequence[Tensor]) -> Tensor:
    """(k,) float64: the norm of the first example of each of k activations of one type."""
    kind = torch.promote_types(xs[0].dtype, torch.float32)
    return wide(torch.stack(torch._foreach_norm([x[0] for x in xs], dtype=kind)))


def _scale_and_pack(centred: Tensor, estimator: str) -> Tensor:
    scaled = centred * math.sqrt(2)
    scaled.diagonal().copy_(centred.diagonal())
    return _pack(scaled, diagonal=estimator == "biased")


@_without_autocast
def hsic_accumulate_(acc: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """acc += a b^T, fp32 within slices of 1,024; see `vitprobe.ops.hsic_accumulate_`."""
    for start in range(0, a.shape[1], 1024):
        piece = slice(start, start + 1024)
        acc += a[:, piece] @ b[:, piece].T
    return acc
