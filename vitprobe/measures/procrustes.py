"""What remains of two arrays after the best rotation of one onto the other.

Orthogonal Procrustes (Ding et al. 2021, arXiv 2108.01661) of arrays that are centred and of
Frobenius norm 1, and what it is made of, the normalised Bures similarity (Tang et al. 2020; Harvey
et al. 2023, arXiv 2311.11436), |X' Y|_* / (|X| |Y|) with the nuclear norm.
"""

import math
from typing import TypeVar

import torch
from torch import Tensor

from vitprobe.measures.given import Given

Value = TypeVar("Value", float, Tensor)


def factor(x: Given) -> Tensor:
    """F of norm 1 with F F' = the centred Gram matrix over its trace: (n, min(n, p))."""
    centred = x.centred
    if centred.shape[1] > centred.shape[0]:
        centred = torch.linalg.qr(centred.T, mode="r").R.T
    return centred / torch.linalg.matrix_norm(centred)


def factors_of(grams: Tensor) -> Tensor:
    """The same of centred Gram matrices (..., n, n), of any rank: (..., n, n)."""
    values, vectors = torch.linalg.eigh(grams)
    rounding = values.shape[-1] * torch.finfo(values.dtype).eps * values[..., -1:]
    values = torch.where(values > rounding, values, 0)  # whose roots would count
    values = values / values.sum(-1, keepdim=True)
    return vectors * values.sqrt()[..., None, :]


def bures(a: Tensor, b: Tensor) -> Tensor:
    """Normalised Bures similarity of two factors, or of many pairs of them."""
    return torch.linalg.svdvals(a.mT @ b).sum(-1).clamp(max=1)


def form_of(similarity: Value, name: str, form: str) -> Value:
    """What `nbs` (`similarity` or `angle`) or `procrustes` (`squared`, `root`) is of it."""
    if name == "procrustes":
        squared = 2 - 2 * similarity
        return squared if form == "squared" else squared**0.5
    if form == "similarity":
        return similarity
    return similarity.arccos() if isinstance(similarity, Tensor) else math.acos(similarity)


def nbs(a: Tensor, b: Tensor, *, form: str) -> float:
    """Normalised Bures similarity, or its angle in radians."""
    return form_of(float(bures(a, b)), "nbs", form)


def procrustes(a: Tensor, b: Tensor, *, form: str) -> float:
    """min over orthogonal Q of |X Q - Y|^2 = 2 - 2 nbs, or its root.

    scipy's `procrustes` may scale one array, too: its disparity is 1 - nbs^2.
    """
    return form_of(float(bures(a, b)), "procrustes", form)
