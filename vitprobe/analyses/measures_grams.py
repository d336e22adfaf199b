"""Gram matrices of the sites of one batch in float64, filled site by site inside the forwards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor

from vitprobe.measures.given import is_constant, rounding
from vitprobe.ops.wide import wide, wide_home
from vitprobe.taps import Site

CENTRED = "centred"
_PIECE = 2**22  # numbers that are made float64 at once


class SiteGrams:
    """A Gram matrix of each kind for each site of each model.

    Args:
        rows: for each tap, the row of each site by name.
        kinds: `centred` (of features less their mean), `cosine`, `correlation` (of examples of
            length 1, see `measures.rsa.rows_of`).
    """

    def __init__(self, rows: Sequence[Mapping[str, int]], kinds: Collection[str]):
        self._rows, self._count = rows, sum(map(len, rows))
        self.kinds = tuple(kinds)
        self._grams: dict[str, Tensor] = {}

    def begin(self, n: int, device: torch.device) -> None:
        """Make ready for a batch of n examples. device: of the sums."""
        shape = self._count, n, n
        for kind in self.kinds:
            if kind not in self._grams or self._grams[kind].shape != shape:
                self._grams[kind] = torch.empty(shape, dtype=torch.float64, device=device)
        self._spread = torch.zeros(self._count, dtype=torch.float64, device=device)
        self._floor = torch.zeros_like(self._spread)  # what rounding alone would make of it
        self._twins: dict[int, int] = {}
        self.silent = set(range(self._count))

    def taker(self, tap: int) -> Callable[[Site, Tensor, Site | None], None]:
        """For the sites of one tap."""
        rows = self._rows[tap]

        def take(site: Site, x: Tensor, twin: Site | None) -> None:
            row = rows[site.name]
            self.silent.discard(row)
            if twin is not None:
                self._twins[row] = rows[twin.name]
                return
            x = x.flatten(1)
            for kind in self.kinds:
                gram, spread, floor = _gram(x, kind)
                self._grams[kind][row] = gram.to(self._grams[kind])
                self._spread[row] = spread.to(self._spread)
                self._floor[row] = floor.to(self._floor)

        return take

    def finish(self) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """The Gram matrices by kind, (count, n, n) float64, NaN of sites that did not fire; which
        sites are not finite, and which constant: (count,) bool."""
        for row, same in self._twins.items():
            self._spread[row], self._floor[row] = self._spread[same], self._floor[same]
            for grams in self._grams.values():
                grams[row] = grams[same]
        for grams in self._grams.values():
            grams[list(self.silent)] = torch.nan
        self._spread[list(self.silent)] = torch.nan
        bad = ~self._spread.isfinite()
        return self._grams, bad, ~(self._spread > self._floor) & ~bad

    def bytes_of(self, n: int) -> int:
        """Of a batch of n examples, with some copies of a piece of an activation in float64."""
        return 8 * (len(self.kinds) * self._count * n * n + 4 * _PIECE)


def _gram(x: Tensor, kind: str) -> tuple[Tensor, Tensor, Tensor]:
    """(n, n) float64 of x (n, p), a piece of the features at a time; the squares of x less the mean
    of each feature, summed; what rounding alone would make of them."""
    n, features = x.shape
    home, step = wide_home(x.device), rounding(x.dtype)
    gram = torch.zeros(n, n, dtype=torch.float64, device=home)
    squares = torch.zeros(n, dtype=torch.float64, device=home)
    spread = torch.zeros((), dtype=torch.float64, device=home)
    mean = 0.0
    if kind == "correlation":
        mean = sum(wide(x[:, part]).sum(1, keepdim=True) for part in _parts(x)) / features
    for part in _parts(x):
        piece = wide(x[:, part])
        centred = piece - piece.mean(0)
        squares += piece.square().sum(1)
        spread += centred.square().sum()
        piece = centred if kind == CENTRED else piece - mean
        gram.addmm_(piece, piece.T)
    if kind != CENTRED:
        own = gram.diagonal()
        length = torch.where(is_constant(own, squares, step), torch.nan, own).sqrt()
        gram = gram / torch.outer(length, length)
    return gram, spread, step**2 * squares.sum()


def _parts(x: Tensor) -> list[slice]:
    n, features = x.shape
    size = max(1, _PIECE // n)
    return [slice(begin, begin + size) for begin in range(0, features, size)]
