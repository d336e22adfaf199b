"""Packed Gram matrices of one batch, many at once: unpacked, centred, of all or some examples."""

import math

import torch
from torch import Tensor


class Packing:
    """Where the values of n examples' packed Gram matrices lie; the indices are made once.

    Args:
        n: examples. device: of the matrices.
    """

    def __init__(self, n: int, device: torch.device):
        self.n = n
        rows = torch.arange(n, device=device)
        low, high = torch.minimum(rows[:, None], rows), torch.maximum(rows[:, None], rows)
        self._places = (high * (high + 1) // 2 + low).reshape(-1)
        self._rows, self._columns = torch.tril_indices(n, n, -1, device=device)
        self._below = self._rows * (self._rows + 1) // 2 + self._columns

    def unpacked(self, packed: Tensor) -> Tensor:
        """(c, n(n+1)/2) as `ops.gram` packs them -> (c, n, n) symmetric."""
        return packed.index_select(1, self._places).reshape(-1, self.n, self.n)

    def u_centred(self, packed: Tensor, kept: Tensor) -> Tensor:
        """HSIC vectors of the kept examples alone, as `ops.center_pack` gives those of all.

        U-centred (Szekely & Rizzo 2014) over the m kept examples, times sqrt(2); 0 for pairs of
        which one is left out: the dot product of two layers' vectors is m(m-3) HSIC_1.

        Args:
            packed: (c, n(n+1)/2) float64.
            kept: (n,) float64, 1 for the examples that count, at least 4, and 0.

        Returns:
            (c, n(n-1)/2) float64.
        """
        grams = self.unpacked(packed)
        count = kept.sum()
        rows = grams @ kept - grams.diagonal(dim1=1, dim2=2)  # of kept ones: off the diagonal
        rows = rows * kept / (count - 2)
        # half of the mean goes with each of the two rows of a pair
        rows = rows - rows.sum(1, keepdim=True) / (2 * (count - 1))
        vectors = packed.index_select(1, self._below)
        vectors -= rows.index_select(1, self._rows)
        vectors -= rows.index_select(1, self._columns)
        return vectors.mul_(math.sqrt(2) * kept[self._rows] * kept[self._columns])


def double_centre_(grams: Tensor) -> Tensor:
    """(c, n, n) symmetric -> H K H, the Gram matrices of activations less their batch's mean; in
    place."""
    rows = grams.mean(2)
    rows = rows - rows.mean(1, keepdim=True) / 2
    return grams.sub_(rows[:, :, None]).sub_(rows[:, None, :])
