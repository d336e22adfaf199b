"""Do two arrays have the same nearest neighbours? Huh et al. 2024, arXiv 2405.07987.

Mutual k-nearest neighbours, and CKNNA, the unbiased CKA of the Gram matrices where an example and
its neighbour are neighbours in both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from vitprobe.measures.given import Given, NoValue

WAYS = ("cosine", "dot", "euclidean")
_PIECE = 2**24  # products at once


class Near(NamedTuple):
    """places: (n, k), the neighbours of each example. gram: (n, n) sparse, its product with them.
    own: its unbiased HSIC with itself."""

    places: Tensor
    gram: sparse.csr_array
    own: float


def nearest(x: Given, *, k: int, by: str) -> Tensor:
    """The k nearest neighbours of each example, itself not among them: (n, k)."""
    return _nearest(x, k, by)[0]


def mutual(a: Tensor, b: Tensor, *, k: int, by: str) -> float:
    """The share of neighbours that are neighbours in both, mean over examples."""
    both = (a[:, :, None] == b[:, None, :]).sum()
    return float(both) / a.numel()


def neighbourhoods(x: Given, *, k: int, by: str, epsilon: float) -> Near:
    """The neighbours, and the products with them.

    Raises:
        NoValue: constant examples, or neighbours that say nothing.
    """
    index, products = _nearest(x, k, by)
    n = len(index)
    columns, values = index.cpu().numpy().ravel(), products.cpu().numpy().ravel()
    start = np.arange(0, n * k + 1, k)
    found = sparse.csr_array((values, columns, start), shape=(n, n))
    own = _hsic(found, found)
    if not own > 0:
        raise NoValue("its neighbours' products vary no more than by chance")
    return Near(index, found, own)


def cknna(a: Near, b: Near, *, k: int, by: str, epsilon: float) -> float:
    """HSIC_1 of the products at mutual neighbours / (sqrt(HSIC_aa HSIC_bb) + epsilon).

    Whom an example has as a neighbour need not have it: the matrices are not symmetric, and of
    (b, a) the estimator gives something else. As in the authors' code, which adds an epsilon of
    1e-6.
    """
    in_a, in_b = _pattern(a), _pattern(b)
    found = _hsic(a.gram.multiply(in_b).tocsr(), b.gram.multiply(in_a).tocsr())
    return found / ((a.own * b.own) ** 0.5 + epsilon)


def _nearest(x: Given, k: int, by: str) -> tuple[Tensor, Tensor]:
    """Neighbours and products with them, (n, k) each."""
    x.centred  # noqa: B018 (constant examples have no neighbours)
    rows = x.x
    if by == "cosine":
        norms = rows.norm(dim=1, keepdim=True)
        if not norms.min() > 0:
            raise NoValue("an example is zero: it has no direction")
        rows = rows / norms
    if by == "euclidean":
        rows = x.centred  # distances alike, with more digits
    squares = rows.square().sum(1)
    n, found, products = len(rows), [], []
    size = max(1, _PIECE // n)
    for begin in range(0, n, size):
        piece = rows[begin : begin + size] @ rows.T
        near = piece - squares / 2 if by == "euclidean" else piece.clone()
        here = torch.arange(len(piece), device=rows.device)
        near[here, here + begin] = -torch.inf
        found.append(near.topk(k, dim=1).indices)
        products.append(piece.gather(1, found[-1]))
    return torch.cat(found), torch.cat(products)


def _pattern(near: Near) -> sparse.csr_array:
    gram = near.gram
    return sparse.csr_array((np.ones_like(gram.data), gram.indices, gram.indptr), shape=gram.shape)


def _hsic(a: sparse.csr_array, b: sparse.csr_array) -> float:
    """HSIC_1 (Song et al. 2012, eq. 5) of matrices with nothing on the diagonal, which need not be
    symmetric."""
    n = a.shape[0]
    total = (a.multiply(b.T)).sum() + a.sum() * b.sum() / ((n - 1) * (n - 2))
    return float(total - 2 * (a.sum(0) @ b.sum(1)) / (n - 2)) / (n * (n - 3))
