"""Attention statistics in pure PyTorch, from the whole attention matrix: their specification.

float64 is computed in float64, other types in float32 (widened first). For an oracle, pass float64.
"""

import torch
from torch import Tensor


def attention_statistics(
    q: Tensor,
    k: Tensor,
    scale: float,
    rows: int,
    columns: int,
    prefix: int,
    bias: Tensor | None,
    height: float,
    width: float,
    class_row: bool,
) -> tuple[Tensor, Tensor]:
    """((5, B, H), (B, H, T) or empty); see `vitprobe.ops.attention_statistics`.

    The five: distance_raw, distance, mass, entropy, left_out. bias: (B, H, T, T) or None.
    """
    p = attention_weights(q, k, scale, bias)
    row = p[:, :, 0].clone() if class_row else p.new_empty(0)
    return statistics_of(p, rows, columns, prefix, height, width), row


def attention_weights(q: Tensor, k: Tensor, scale: float, bias: Tensor | None) -> Tensor:
    """softmax_j(scale q_i.k_j + bias_ij), (B, H, T, T); 0 where no key is left for a query."""
    kind = torch.promote_types(q.dtype, torch.float32)
    q, k = q.to(kind), k.to(kind).repeat_interleave(q.shape[1] // k.shape[1], dim=1)
    with torch.autocast(q.device.type, enabled=False):
        scores = scale * (q @ k.transpose(2, 3))
    if bias is not None:
        scores = scores + bias
    empty = (scores == -torch.inf).all(-1, keepdim=True)
    return torch.where(empty, 0.0, scores.softmax(-1))


def statistics_of(
    p: Tensor, rows: int, columns: int, prefix: int, height: float, width: float
) -> Tensor:
    """(5, B, H) from attention weights (B, H, T, T): see `attention_statistics`."""
    p = p.to(torch.promote_types(p.dtype, torch.float32))[:, :, prefix:]
    patches = p[..., prefix:]
    distances = patch_distances(rows, columns, height, width).to(p.dtype).to(p.device)
    dist, mass = (patches * distances).sum(-1), patches.sum(-1)
    entropy = -torch.xlogy(p, p).sum(-1)
    counted = mass != 0
    distance = torch.where(counted, dist / mass, 0).sum(-1) / counted.sum(-1)
    left_out = (~counted).sum(-1).to(p.dtype)
    return torch.stack([dist.mean(-1), distance, mass.mean(-1), entropy.mean(-1), left_out])


def patch_distances(rows: int, columns: int, height: float, width: float) -> Tensor:
    """(N, N) float64 Euclidean distances between the centres of N = rows x columns patches."""
    y, x = torch.meshgrid(
        torch.arange(rows, dtype=torch.float64) * height,
        torch.arange(columns, dtype=torch.float64) * width,
        indexing="ij",
    )
    places = torch.stack([y.flatten(), x.flatten()], dim=1)
    return torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")
