"""Principal axes of features, and products of examples with few columns in them."""

from typing import NamedTuple

import torch
from torch import Tensor

from vitprobe.probes.ridge import noise_of


class Principal(NamedTuple):
    """The scores of examples x (n, p) on r axes are x @ axes: (n, r).

    Examples are kept as x itself or, where r is far below p, as their scores; and twice, by rows
    and by columns, since MKL takes three times as long for the transposed product with a narrow
    matrix.
    """

    axes: Tensor  # (p, r)
    values: Tensor  # (r,), sums of the squares of the scores
    examples: Tensor  # (n, m)
    columns: Tensor  # (m, n)
    inner: Tensor | None  # (m, r), scores = examples @ inner; None: they are the scores

    def forth(self, weights: Tensor) -> Tensor:
        """scores @ weights: (n, C), of weights (r, C)."""
        return self.examples @ (weights if self.inner is None else self.inner @ weights)

    def back(self, slopes: Tensor) -> Tensor:
        """scores^T @ slopes: (r, C), of slopes (n, C)."""
        found = self.columns @ slopes
        return found if self.inner is None else self.inner.mT @ found


def principal(x: Tensor) -> Principal:
    """Of x (n, p) float64, centred. Axes that are rounding alone are left out: r <= min(n, p)."""
    dual = len(x) < x.shape[1]
    values, vectors = torch.linalg.eigh(x @ x.mT if dual else x.mT @ x)
    kept = values > noise_of(values, len(values))
    values, vectors = values[kept], vectors[:, kept]
    if not dual:
        return Principal(vectors, values, x, x.mT.contiguous(), vectors)
    root = values.sqrt()
    scores = vectors * root
    return Principal(x.mT @ (vectors / root), values, scores, scores.mT.contiguous(), None)
