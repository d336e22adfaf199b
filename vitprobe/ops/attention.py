"""Attention distance, patch mass and entropy of every head, without the attention matrix."""

from typing import NamedTuple

import torch
from torch import Tensor

from vitprobe.ops import reference_attention as reference
from vitprobe.ops.candidates import KINDS
from vitprobe.ops.choice import candidate
from vitprobe.ops.sizes import attention_size


class AttentionStatistics(NamedTuple):
    """Means over the patch queries of every image and head: (B, H), float32 (float64 for float64).

    distance_raw: mean over queries of dist_i = sum over patch keys of p_ij |pos_i - pos_j|
        (the convention of Raghu et al. 2021).
    distance: mean over queries of dist_i / mass_i: the distance of the attention that patches get
        (the convention of vit_analysis); queries of mass 0 are left out, NaN if all are.
    mass: mean over queries of mass_i = sum over patch keys of p_ij, in 0..1.
    entropy: mean over queries of -sum over all keys of p_ij log p_ij, in nats.
    left_out: number of queries of mass 0.
    class_row: (B, H, T) attention p_0j of token 0 to all keys, or None where not asked for.
    """

    distance_raw: Tensor
    distance: Tensor
    mass: Tensor
    entropy: Tensor
    left_out: Tensor
    class_row: Tensor | None


def attention_statistics(
    q: Tensor,  # (B, H, T, D)
    k: Tensor,  # (B, H or fewer, T, D)
    scale: float,
    grid: tuple[int, int],
    prefix: int,
    bias: Tensor | None = None,
    *,
    patch_size: float | tuple[float, float] = 1.0,
    class_row: bool = False,
) -> AttentionStatistics:
    """Statistics of p = softmax_j(scale q_i.k_j + bias_ij) over all T keys, of patch queries i.

    Tokens 0 .. prefix - 1 are no patches (class, registers); token prefix + r columns + c is the
    patch at row r, column c of the grid. Distances are Euclidean, between centres of patches.

    Args:
        q: (B, H, T, D) queries; float32, bfloat16, float16 or float64; any strides.
        k: (B, Hk, T, D) keys of the type of q; H a multiple of Hk (grouped queries: head h has the
            keys of head h // (H / Hk)).
        scale: what q.k is multiplied with, usually D ** -0.5.
        grid: rows and columns of patches; T = prefix + rows x columns.
        prefix: leading tokens that are no patches.
        bias: broadcasts to (B, H, T, T), on the device of q: floating, added to the scores (-inf
            leaves a key out), or boolean, True where a key takes part; None: no bias. A query that
            no key is left for has attention 0 to all.
        patch_size: side of a patch, or its height and width; distances have its unit.
        class_row: also return the attention of token 0, before any mean.

    Returns:
        AttentionStatistics. NaN in k, or in q of a patch, gives NaN in that image and head.

    Raises:
        TypeError: types other than these.
        ValueError: shapes that do not match, or a grid that is not that of the tokens.
    """
    height, width = patch_size if isinstance(patch_size, tuple) else (patch_size, patch_size)
    _check(q, k, grid, prefix, bias)
    q, k = q.detach(), k.detach()
    bias = None if bias is None else _additive(bias.detach(), q)
    arguments = (q, k, float(scale), *grid, prefix, bias, float(height), float(width), class_row)
    operator, kind = "attention_statistics", KINDS[q.dtype]
    statistics, row = candidate(operator, q, kind, attention_size, *q.shape[:3])(*arguments)
    return AttentionStatistics._make([*statistics.unbind(), row if class_row else None])


def dense_attention_statistics(
    p: Tensor,  # (B, H, T, T)
    grid: tuple[int, int],
    prefix: int,
    *,
    patch_size: float | tuple[float, float] = 1.0,
    class_row: bool = False,
) -> AttentionStatistics:
    """The same from attention weights p that a model hands out: (B, H, T, T), rows sum to 1.

    Raises:
        TypeError: p is not floating point.
        ValueError: p is not (B, H, T, T), or the grid is not that of the tokens.
    """
    height, width = patch_size if isinstance(patch_size, tuple) else (patch_size, patch_size)
    if p.dtype not in KINDS:
        raise TypeError(f"p must be floating point, not {p.dtype}")
    if p.ndim != 4 or p.shape[2] != p.shape[3]:
        raise ValueError(f"p must be (B, H, T, T), not {tuple(p.shape)}")
    _check_grid(grid, prefix, p.shape[3])
    statistics = reference.statistics_of(p.detach(), *grid, prefix, float(height), float(width))
    row = p.detach()[:, :, 0].to(statistics.dtype) if class_row else None
    return AttentionStatistics._make([*statistics.unbind(), row])


def _check(q: Tensor, k: Tensor, grid: tuple[int, int], prefix: int, bias: Tensor | None) -> None:
    if q.dtype not in KINDS or k.dtype != q.dtype:
        raise TypeError(f"q and k must be of one floating-point type, not {q.dtype}, {k.dtype}")
    if q.ndim != 4 or k.ndim != 4 or (q.shape[0], *q.shape[2:]) != (k.shape[0], *k.shape[2:]):
        shapes = f"{tuple(q.shape)}, {tuple(k.shape)}"
        raise ValueError(f"q and k must be (B, H, T, D) and (B, Hk, T, D), not {shapes}")
    if 0 in q.shape or k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise ValueError(f"{q.shape[1]} heads of q cannot share {k.shape[1]} heads of k")
    if q.device != k.device or (bias is not None and bias.device != q.device):
        raise ValueError("q, k and bias must be on one device")
    _check_grid(grid, prefix, q.shape[2])
    if bias is None:
        return
    if bias.dtype != torch.bool and bias.dtype not in KINDS:
        raise TypeError(f"bias must be floating point or boolean, not {bias.dtype}")
    full = (*q.shape[:3], q.shape[2])
    try:
        fits = torch.broadcast_shapes(bias.shape, full) == full
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"bias of shape {tuple(bias.shape)} does not broadcast to {full}")


def _check_grid(grid: tuple[int, int], prefix: int, tokens: int) -> None:
    rows, columns = grid
    if min(rows, columns) < 1 or prefix < 0 or prefix + rows * columns != tokens:
        raise ValueError(
            f"a grid of {rows} x {columns} patches behind {prefix} other tokens is not "
            f"{tokens} tokens"
        )


def _additive(bias: Tensor, q: Tensor) -> Tensor:
    """(B, H, T, T) to be added to the scores, without a copy of what is broadcast; float32, or
    float64 for float64."""
    kind = torch.float64 if q.dtype == torch.float64 else torch.float32
    bias = bias[tuple(slice(0, 1) if step == 0 else slice(None) for step in bias.stride())]
    if bias.dtype == torch.bool:
        bias = torch.zeros(bias.shape, dtype=kind, device=bias.device).masked_fill_(
            ~bias, -torch.inf
        )
    return bias.to(kind).expand(*q.shape[:3], q.shape[2])
