"""Centred kernel alignment of two arrays (Kornblith et al. 2019, arXiv 1905.00414)."""

import torch
from torch import Tensor

from vitprobe.measures.given import Given, NoValue
from vitprobe.measures.grams import double_centred, gram, squared_distances, u_centred, unit


def linear(x: Given, *, estimator: str) -> Tensor:
    """The centred Gram matrix as a vector of length 1: the product of two is their CKA.

    estimator: `unbiased` (HSIC_1 of Song et al. 2012) or `biased` (HSIC_0).
    """
    return _vector(gram(x.centred), estimator)


def gaussian(x: Given, *, fraction: float, estimator: str) -> Tensor:
    """The same of exp(-d^2 / (2 sigma^2)), sigma^2 = fraction^2 times the median of all n^2 squared
    distances d^2, zeros included."""
    squares = squared_distances(gram(x.centred))
    sigma = fraction**2 * squares.flatten().quantile(0.5) if squares.numel() < 2**24 else None
    if sigma is None:  # torch's quantile takes no more
        ordered = squares.flatten().sort().values
        half = len(ordered) // 2
        sigma = fraction**2 * (ordered[half] + ordered[-half - 1]) / 2
    if not sigma > 0:
        raise NoValue("more than half of its examples are the same: no median distance")
    return _vector(torch.exp(-squares / (2 * sigma)), estimator)


def aligned(a: Tensor, b: Tensor) -> float:
    """CKA of two such vectors."""
    return float(a @ b)


def _vector(matrix: Tensor, estimator: str) -> Tensor:
    centre = u_centred if estimator == "unbiased" else double_centred
    return unit(centre(matrix).flatten())
