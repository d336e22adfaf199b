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
        below = torch.tril_indices(n, n, -1, device=device)
        self._below = below[0] * n + below[1]

    def unpacked(self, packed: Tensor) -> Tensor:
        """(c, n(n+1)/2) as `ops.gram` packs them -> (c, n, n) symmetric."""
        return packed.index_select(1, self._places).reshape(-1, self.n, self.n)

    def u_centred(self, grams: Tensor, kept: Tensor) -> Tensor:
        """HSIC vectors of the kept examples alone, as `ops.center_pack` gives those of all.

        U-centred (Szekely & Rizzo 2014) over the m kept examples, times sqrt(2); 0 for pairs of
        which one is left out: the dot product of two layers' vectors is m(m-3) HSIC_1.

        Args:
            grams: (c, n, n) float64.
            kept: (n,) float64, 1 for the examples that count, at least 4, and 0.

        Returns:
            (c, n(n-1)/2) float64.
        """
        pairs = torch.outer(kept, kept).fill_diagonal_(0)
        grams = grams * pairs
        count = kept.sum()
        rows = grams.sum(2) / (count - 2)
        mean = rows.sum(1) / (count - 1)
        grams = grams - rows[:, :, None] - rows[:, None, :] + mean[:, None, None]
        return (grams * (math.sqrt(2) * pairs)).reshape(len(grams), -1).index_select(1, self._below)


def double_centred(grams: Tensor) -> Tensor:
    """(c, n, n) symmetric -> H K H, the Gram matrices of activations less their batch's mean."""
    rows = grams.mean(2)
    return grams - rows[:, :, None] - rows[:, None, :] + rows.mean(1)[:, None, None]
