"""Ridge regression in closed form: one eigendecomposition for every penalty."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vitprobe.errors import InputError
from vitprobe.ops.wide import wide
from vitprobe.probes.labels import check_labels


def plus_minus_one(labels: Tensor, classes: int) -> Tensor:
    """Targets of a linear probe: (n, classes) float64, 1 at an example's class, -1 elsewhere.

    labels: (n,) integers from 0 to classes - 1; others raise `InputError`.
    """
    check_labels(labels, classes)
    targets = wide(torch.full((len(labels), classes), -1.0, device=labels.device))
    return targets.scatter_(1, labels.long()[:, None].to(targets.device), 1.0)


_FEW = 4  # penalties: an eigendecomposition takes as long as ten factorisations or more


def noise_of(values: Tensor, m: int) -> float:
    """Eigenvalues of a Gram matrix (m, m) below this may be rounding alone; values: the largest,
    among others."""
    eps = torch.finfo(values.dtype).eps
    return max(m, 100) * eps * values.max().item() if m else 0.0


def solve(gram: Tensor, cross: Tensor, l2s: Sequence[float]) -> Tensor:
    """(gram + l2 I)^-1 cross for every l2, of one eigendecomposition; of few, by Cholesky.

    Args:
        gram: (m, m) float64, symmetric, no negative eigenvalue beyond rounding.
        cross: (m, C) float64.
        l2s: penalties, 0 or more.

    Directions in which eigenvalue + l2 is rounding alone are left out: at l2 = 0 this is the
    solution of least norm, and features that are constant or copies of others do no harm.

    Returns: (len(l2s), m, C) float64.
    """
    if any(not l2 >= 0 for l2 in l2s):
        raise InputError(f"l2 is 0 or more, not {min(l2s)}")
    # The trace is at least the largest eigenvalue: nothing is left out at these penalties.
    if len(l2s) <= _FEW and min(l2s) > noise_of(gram.diagonal().sum()[None], len(gram)):
        identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        factors = (torch.linalg.cholesky(gram + l2 * identity) for l2 in l2s)
        return torch.stack([torch.cholesky_solve(cross, factor) for factor in factors])
    values, vectors = torch.linalg.eigh(gram)
    values = values.clamp(min=0)
    penalties = torch.tensor(list(l2s), dtype=values.dtype, device=values.device)
    shifted = values + penalties[:, None]  # (len(l2s), m)
    inverse = torch.where(shifted > noise_of(values, len(values)), 1 / shifted, 0.0)
    return vectors @ (inverse[:, :, None] * (vectors.mT @ cross))


def without_bias(x: Tensor, y: Tensor, l2s: Sequence[float]) -> Tensor:
    """W that minimises |x W - y|^2 + l2 |W|^2: (len(l2s), p, C), of x (n, p), y (n, C) float64.

    W = (x^T x + l2 I)^-1 x^T y or, where examples are fewer, the same W = x^T (x x^T + l2 I)^-1 y:
    the eigendecomposition is of min(n, p)^2 numbers.
    """
    if len(x) >= x.shape[1]:
        return solve(x.mT @ x, x.mT @ y, l2s)
    return x.mT @ solve(x @ x.mT, y, l2s)


def ridge_from_sums(
    gram: Tensor, cross: Tensor, mean_x: Tensor, mean_y: Tensor, l2s: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Weights W and bias b that minimise |X W + b - Y|^2 + l2 |W|^2, from sums over examples.

    The bias is not penalised, as in scikit-learn's `Ridge(alpha=l2)` (Hoerl and Kennard 1970).

    Args:
        gram: (p, p) float64, sum over examples of (x - mean_x)(x - mean_x)^T. Sums of raw x x^T
            lose digits where means are large: sum what is left of a value near the mean.
        cross: (p, C) float64, sum of (x - mean_x)(y - mean_y)^T.
        mean_x: (p,) float64.
        mean_y: (C,) float64.
        l2s: penalties, 0 or more (the sum over examples is not divided by their number).

    Returns: weights (len(l2s), p, C) and bias (len(l2s), C), float64, on the device of `gram`.

    Raises:
        InputError: a negative penalty.
    """
    weights = solve(gram, cross, l2s)
    return weights, mean_y - mean_x @ weights


def ridge(x: Tensor, y: Tensor, l2s: Sequence[float]) -> tuple[Tensor, Tensor]:
    """`ridge_from_sums` of examples: of features by features or, fewer, examples by examples.

    Args:
        x: (n, p) features of any real type.
        y: (n, C) targets.
        l2s: penalties, 0 or more.

    Returns: weights (len(l2s), p, C) and bias (len(l2s), C), float64, on the device of x.
    """
    x = wide(x)
    y = wide(y).to(x.device)
    mean_x, mean_y = x.mean(0), y.mean(0)
    weights = without_bias(centred(x, mean_x), y - mean_y, l2s)
    return weights, mean_y - mean_x @ weights


def centred(x: Tensor, mean: Tensor) -> Tensor:
    """x - mean; exactly 0 in a column that is constant, whose mean is rounded."""
    return (x - mean).masked_fill_(x.amin(0) == x.amax(0), 0.0)
