"""GULP: by how much do the best ridge regressions on two arrays differ, over all targets?

Boix-Adsera et al. 2022, arXiv 2210.06545.
"""

import torch
from torch import Tensor

from vitprobe.measures.given import Given
from vitprobe.measures.grams import gram

NONE = 1e-10  # of the largest eigenvalue: what is below spans nothing


def prepare(x: Given, *, regularisation: float, scale: str) -> Tensor:
    """The smoother of one array: see `smoothers`."""
    return smoothers(gram(x.centred), regularisation, scale)


def smoothers(grams: Tensor, regularisation: float, scale: str) -> Tensor:
    """K (K + n lambda)^-1 of centred Gram matrices (..., n, n): what ridge regression makes of
    targets.

    scale: `given`, or `unit`: examples have a mean squared norm of 1 first, so that one lambda
    means the same to all arrays.
    """
    n = grams.shape[-1]
    if scale == "unit":
        grams = grams / (grams.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None])
    values, vectors = torch.linalg.eigh(grams)
    there = values > NONE * values[..., -1:]
    kept = torch.where(there, values / (values + n * regularisation), 0)
    return (vectors * kept[..., None, :]) @ vectors.mT


def distance(a: Tensor, b: Tensor, *, regularisation: float, scale: str) -> float:
    """The squared distance: |difference of the smoothers|^2, in Frobenius' norm."""
    return float((a - b).square().sum())
