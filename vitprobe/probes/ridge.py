"""Ridge regression in closed form: one eigendecomposition for every penalty."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vitprobe.ops.wide import wide


def plus_minus_one(labels: Tensor, classes: int) -> Tensor:
    """Targets of a linear probe: (n, classes) float64, 1 at an example's class, -1 elsewhere.

    labels: (n,) integers from 0 to classes - 1.
    """
    targets = wide(torch.full((len(labels), classes), -1.0, device=labels.device))
    return targets.scatter_(1, labels.long()[:, None].to(targets.device), 1.0)


def solve(gram: Tensor, cross: Tensor, l2s: Sequence[float]) -> Tensor:
    """(gram + l2 I)^-1 cross for every l2, of one eigendecomposition.

    Args:
        gram: (m, m) float64, symmetric, no negative eigenvalue beyond rounding.
        cross: (m, C) float64.
        l2s: penalties, 0 or more.

    What rounding alone could give (an eigenvalue + l2 below m eps times the largest) counts as 0
    and its direction is left out: at l2 = 0 the solution of least norm.

    Returns: (len(l2s), m, C) float64.
    """
    values, vectors = torch.linalg.eigh(gram)
    values = values.clamp(min=0)
    penalties = torch.tensor(list(l2s), dtype=values.dtype, device=values.device)
    shifted = values + penalties[:, None]  # (len(l2s), m)
    noise = len(values) * torch.finfo(values.dtype).eps * values.max()
    inverse = torch.where(shifted > noise, 1 / shifted, 0.0)
    return vectors @ (inverse[:, :, None] * (vectors.mT @ cross))


def ridge_from_sums(
    gram: Tensor, cross: Tensor, mean_x: Tensor, mean_y: Tensor, l2s: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Weights W and bias b that minimise |X W + b - Y|^2 + l2 |W|^2, from sums over examples.

    The bias is not penalised, as in scikit-learn's `Ridge(alpha=l2)` (Hoerl and Kennard 1970).

    Args:
        gram: (p, p) float64, sum over examples of (x - mean_x)(x - mean_x)^T.
        cross: (p, C) float64, sum of (x - mean_x)(y - mean_y)^T.
        mean_x: (p,) float64.
        mean_y: (C,) float64.
        l2s: penalties, 0 or more.

    Returns: weights (len(l2s), p, C) and bias (len(l2s), C), float64, on the device of `gram`.
    """
    weights = solve(gram, cross, l2s)
    return weights, mean_y - mean_x @ weights


def ridge(x: Tensor, y: Tensor, l2s: Sequence[float]) -> tuple[Tensor, Tensor]:
    """`ridge_from_sums` of examples: dual where there are fewer examples than features.

    Args:
        x: (n, p) features of any floating type.
        y: (n, C) targets.
        l2s: penalties, 0 or more.

    The dual form has W = X^T (X X^T + l2 I)^-1 Y: the same W, of an n x n matrix.

    Returns: weights (len(l2s), p, C) and bias (len(l2s), C), float64.
    """
    x, y = wide(x), wide(y)
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    if len(x) >= x.shape[1]:
        return ridge_from_sums(x.mT @ x, x.mT @ y, mean_x, mean_y, l2s)
    weights = x.mT @ solve(x @ x.mT, y, l2s)
    return weights, mean_y - mean_x @ weights
