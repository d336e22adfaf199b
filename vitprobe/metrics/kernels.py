"""Layers' activations -> centred, packed vectors whose dot products are HSIC."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vitprobe import ops
from vitprobe.errors import InputError
from vitprobe.ops.reference import first_norms
from vitprobe.ops.wide import wide

Vectorise = Callable[[Sequence[Tensor]], Tensor]  # k activations -> (k, m)

#: sigma = fraction * sqrt(median squared distance) when `kernel="rbf"` names no fraction.
RBF_FRACTION = 0.5


def rounding_step(dtype: torch.dtype) -> float:
    """Times an example's norm: the norm below which differences between examples are rounding.

    The type's own step for half precision, and 8 steps for float32 and float64, where a matrix
    product gives equal rows results that differ in the last bits.
    """
    return torch.finfo(dtype).eps * (8 if dtype.itemsize >= 4 else 1)


def noise_scale(dtype: torch.dtype, features: int) -> float:
    """Of activations of a type, with p features: their rounding step / p^(1/4)."""
    return rounding_step(dtype) / features**0.25


def linear_noise(norms: Tensor, scales: Tensor, pairs: float) -> Tensor:
    """The part of S_aa that rounding alone could give: pairs / p (step^2 ||x_0||^2)^2.

    norms: (k,) float64, ||x_0||. scales: (k,) float64, `noise_scale`. pairs: n (n - 1) / 2.
    """
    return (norms * scales).pow_(4).mul_(pairs)


def noise_floors(xs: Sequence[Tensor]) -> Tensor:
    """`linear_noise` of k activations (n, ...) of one type: (k,) float64."""
    norms, n = first_norms(xs), xs[0].shape[0]
    scales = [noise_scale(x.dtype, x[0].numel()) for x in xs]
    there = torch.tensor(scales, dtype=norms.dtype).to(norms.device)
    return linear_noise(norms, there, n * (n - 1) / 2)


def vectoriser(kernel: str, estimator: str) -> Vectorise:
    """The function that turns k activations (n, ...) into their centred packed vectors (k, m).

    The activations are of the same examples, of one type, on one device; they are reduced together
    in a few launches where that can be.

    Args:
        kernel: "linear", "rbf" or "rbf:FRACTION" (sigma = FRACTION sqrt(median of all n^2 squared
            distances of the batch), the convention of Kornblith et al. 2019).
        estimator: "unbiased" (U-centred, n(n-1)/2 values) or "biased" (double-centred, n(n+1)/2).

    Raises:
        InputError: unknown kernel or estimator, or a fraction that is not a positive number.
    """
    if estimator not in ("unbiased", "biased"):
        raise InputError(f"unknown estimator {estimator!r}: use 'unbiased' or 'biased'")
    if kernel == "linear":
        return lambda xs: ops.centered_grams(xs, estimator)
    name, _, text = kernel.partition(":")
    if name != "rbf":
        raise InputError(f"unknown kernel {kernel!r}: use 'linear', 'rbf' or 'rbf:FRACTION'")
    try:
        fraction = float(text) if text else RBF_FRACTION
    except ValueError:
        fraction = math.nan
    if not 0 < fraction < math.inf:
        raise InputError(f"{kernel!r}: the fraction after 'rbf:' must be a positive number")
    return lambda xs: torch.stack([ops.center_pack(rbf_gram(x, fraction), estimator) for x in xs])


def rbf_gram(x: Tensor, fraction: float) -> Tensor:
    """Packed Gram matrix of the Gaussian kernel exp(-d^2 / (2 sigma^2)).

    Args:
        x: (n, ...) activations, n >= 4.
        fraction: sigma = fraction * sqrt(median of all n^2 squared distances, zeros included).

    Returns:
        (n(n+1)/2,) float64, lower triangle with diagonal, row-major.
    """
    n = x.shape[0]
    gram = wide(ops.gram(x))
    row, column = torch.tril_indices(n, n, device=gram.device)
    diagonal = gram[row == column]
    squared = diagonal[row] + diagonal[column] - 2 * gram
    # Distances within rounding are zeros: a constant layer must not become noise over noise.
    rounding = rounding_step(x.dtype) * first_norms([x])
    squared = torch.where(squared <= 2 * rounding.square(), 0, squared)
    scaled = squared / (2 * fraction**2 * _median_of_all(squared[row > column], n))
    return torch.exp(-torch.where(squared == 0, 0, scaled))


def _median_of_all(below_diagonal: Tensor, n: int) -> Tensor:
    """Median of the whole n x n matrix of distances, from the values below its diagonal.

    Sorted, the n x n values are n zeros and then each value twice; an even count averages the two
    in the middle, as numpy.median does.
    """
    ordered = below_diagonal.sort().values  # NaN last: any NaN among the values makes the Gram NaN
    zero = ordered.new_zeros(())
    middle = [
        ordered[(rank - n) // 2] if rank >= n else zero for rank in ((n * n - 1) // 2, n * n // 2)
    ]
    return (middle[0] + middle[1]) / 2
