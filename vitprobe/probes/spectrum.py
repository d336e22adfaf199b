"""Examples in the principal axes of their features."""

from typing import NamedTuple

import torch
from torch import Tensor

from vitprobe.probes.ridge import noise_of


class Principal(NamedTuple):
    """scores: (r, n) in rows, axes^T x^T. values: (r,), sums of their squares. axes: (p, r).

    In rows, since MKL takes three times as long for the transposed product of (n, r) scores.
    """

    scores: Tensor
    values: Tensor
    axes: Tensor


def principal(x: Tensor) -> Principal:
    """Of x (n, p) float64, centred. Axes that are rounding alone are left out: r <= min(n, p)."""
    dual = len(x) < x.shape[1]
    values, vectors = torch.linalg.eigh(x @ x.mT if dual else x.mT @ x)
    kept = values > noise_of(values)
    values, vectors = values[kept], vectors[:, kept]
    if dual:
        root = values.sqrt()
        return Principal((vectors * root).mT.contiguous(), values, x.mT @ (vectors / root))
    return Principal(vectors.mT @ x.mT, values, vectors)
