"""Canonical correlations: how much of two arrays' subspaces is the same.

CCA and SVCCA (Raghu et al. 2017, arXiv 1706.05806), PWCCA (Morcos et al. 2018, arXiv 1806.05759).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vitprobe.measures.given import Given, NoValue


class Weighed(NamedTuple):
    """basis: (n, r), as `subspace`. rest: (r, p) with basis @ rest = the centred examples."""

    basis: Tensor
    rest: Tensor


def subspace(x: Given) -> Tensor:
    """An orthonormal basis of the centred examples' columns: (n, r).

    Raises:
        NoValue: it is that of all numbers with mean 0, where everything correlates by 1.
    """
    return _checked(x.principal[0])


def main_subspace(x: Given, *, dimensions: float) -> Tensor:
    """Of its largest principal directions: so many, or below 1 as many as hold this share of the
    variance."""
    basis, values = x.principal
    if dimensions >= 1:
        count = int(dimensions)
    else:
        share = values.square().cumsum(0) / values.square().sum()
        count = int((share < dimensions).sum()) + 1
    return _checked(basis[:, :count])


def weighed(x: Given) -> Weighed:
    """Its subspace, and how the features lie in it."""
    basis = subspace(x)
    return Weighed(basis, basis.T @ x.centred)


def cca(a: Tensor, b: Tensor, *, form: str, dimensions: float | None = None) -> float:
    """The mean of the min(r_a, r_b) canonical correlations, or of their squares
    (`mean_square`)."""
    found = torch.linalg.svdvals(a.T @ b).clamp(max=1)
    return float((found if form == "mean" else found.square()).mean())


def pwcca(a: Weighed, b: Weighed, *, weights: str) -> float:
    """Their mean, weighted by how much of one array (`x` or `y`) each direction accounts for:
    sum over features j of |<h_i, x_j>|, x centred."""
    left, found, right = torch.linalg.svd(a.basis.T @ b.basis, full_matrices=False)
    of, directions = (a, left) if weights == "x" else (b, right.mT)
    weight = (directions.T @ of.rest).abs().sum(1)
    return float((weight * found.clamp(max=1)).sum() / weight.sum())


def _checked(basis: Tensor) -> Tensor:
    n, rank = basis.shape
    if rank >= n - 1:
        raise NoValue(
            f"{rank} independent features of {n} examples correlate by 1 with anything: it takes "
            "more examples than features"
        )
    return basis
