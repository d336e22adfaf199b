"""How right a kernel has to be: errors against float64, and the most that is allowed.

Used where kernels are chosen (`choice.py`), and by the tests on a GPU.
"""

import math

import torch
from torch import Tensor


def exact(x: Tensor) -> Tensor:
    """The same numbers, on the CPU in float64."""
    return x.detach().cpu().double()


def relative_error(value: Tensor, expected: Tensor) -> float:
    """Frobenius-relative; infinite where shapes differ or a number is not finite.

    expected: float64, on the CPU.
    """
    if value.shape != expected.shape or not value.isfinite().all():
        return math.inf
    return ((exact(value) - expected).norm() / expected.norm().clamp_min(1e-30)).item()


def limit(kind: str) -> float:
    """Of `relative_error`, for vectors, Gram matrices and sums of products of this type."""
    return {"f64": 1e-13, "tf32": 1e-3}.get(kind, 2e-6)


def attention_error(
    found: tuple[Tensor, Tensor | None],
    wanted: tuple[Tensor, Tensor],
    grid: tuple[int, int],
    patch: tuple[float, float] = (1.0, 1.0),
) -> float:
    """The largest error of statistics (5, B, H) and of the row of token 0 (None: not asked for).

    Distances in parts of the grid's diagonal, the entropy of 1 + log T, others as they are;
    infinite where one has NaN and the other not.
    """
    statistics, row = exact(found[0]), found[1]
    if statistics.shape != wanted[0].shape or not torch.equal(
        statistics.isnan(), wanted[0].isnan()
    ):
        return math.inf
    diagonal = math.hypot(grid[0] * patch[0], grid[1] * patch[1])
    sizes = torch.tensor([diagonal, diagonal, 1, 1 + math.log(wanted[1].shape[-1]), 1])
    error = (statistics - wanted[0]).nan_to_num() / sizes[:, None, None]
    of_row = 0.0 if row is None else (exact(row) - wanted[1]).abs().max().item()
    return max(error.abs().max().item(), of_row)


def attention_limit(kind: str, q: Tensor, k: Tensor, scale: float) -> float:
    """Of `attention_error`: a score's rounding error grows with the scores."""
    largest = scale * (exact(q).norm(dim=-1).max() * exact(k).norm(dim=-1).max()).item()
    return (1e-13 if kind == "f64" else 1e-6) * (2 + largest)
