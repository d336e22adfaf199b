"""Gram matrices of examples, and what the measures make of them; each also of many at once."""

import torch
from torch import Tensor


def gram(x: Tensor) -> Tensor:
    """(n, p) -> (n, n)."""
    return x @ x.T


def squared_distances(grams: Tensor) -> Tensor:
    """Squared Euclidean distances of all examples: (..., n, n) of any Gram matrices of them."""
    own = grams.diagonal(dim1=-2, dim2=-1)
    found = (own[..., :, None] + own[..., None, :] - 2 * grams).clamp(min=0)
    found.diagonal(dim1=-2, dim2=-1).zero_()
    return found


def double_centred(grams: Tensor) -> Tensor:
    """H K H: the Gram matrices (..., n, n) of examples less their mean."""
    rows = grams.mean(-1, keepdim=True)
    return grams - rows - rows.mT + rows.mean(-2, keepdim=True)


def u_centred(grams: Tensor) -> Tensor:
    """U-centred, with a zero diagonal (Szekely & Rizzo 2014): the product of two is n (n - 3) times
    the unbiased HSIC (Song et al. 2012, eq. 5)."""
    n = grams.shape[-1]
    grams = grams.clone()
    grams.diagonal(dim1=-2, dim2=-1).zero_()
    rows = grams.sum(-1, keepdim=True) / (n - 2)
    grams = grams - rows - rows.mT + rows.sum(-2, keepdim=True) / (n - 1)
    grams.diagonal(dim1=-2, dim2=-1).zero_()
    return grams


def above(matrices: Tensor) -> Tensor:
    """What stands above the diagonal of (..., n, n): (..., n (n - 1) / 2), row by row."""
    rows, columns = matrices.shape[-2:]
    row, column = torch.triu_indices(rows, columns, 1, device=matrices.device)
    return matrices[..., row, column]


def unit(vectors: Tensor) -> Tensor:
    """(..., m) of length 1; NaN where there is no length."""
    return vectors / torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
