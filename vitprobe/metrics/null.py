"""What similarities are by chance: sums of products with the examples of one side permuted."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from vitprobe.metrics.cka import exponents_of
from vitprobe.metrics.permutations import pairs_of, permutations, permuted_pairs

_SLICE = 1024  # products of float32 that are summed in float32; float64 between
_ROWS = 32  # of layers that are permuted together where a list is compared with itself
_IN_CACHE = 1 << 20  # bytes of permuted vectors at once on a CPU
_ON_GPU = 1 << 28
_TIE = 1e-6  # similarities nearer than that are equal: vectors are float32


class PermutedSums(Metric):
    """S_ab, the sums of `CKA`, with the examples of list a permuted in every batch, many times.

    In replicate r one permutation of each batch's examples is that of all layers: what is left of
    S_ab / sqrt(S_aa S_bb) is what two unrelated networks would have, jointly for all pairs. The
    norms S_aa do not change. A batch's permutations are decided by (seed, its number, r), so sums
    of processes and shards add to the same. Gram matrices are permuted as they are packed: one
    gather and one product.

    Args:
        layers_a: La, number of layers of the list that is permuted.
        layers_b: Lb, of the list that is not; None: the first list with itself.
        replicates: K.
        seed: of the permutations.
        estimator: "unbiased" or "biased", as of the vectors.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(
        self,
        layers_a: int,
        layers_b: int | None = None,
        replicates: int = 200,
        seed: int = 0,
        estimator: str = "unbiased",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.layers_a, self.layers_b = layers_a, layers_b
        self.replicates, self.seed, self.estimator = replicates, seed, estimator
        # The smaller list is gathered; of a list with itself only what is on and above the
        # diagonal, in blocks of rows: (first row, its end) times columns from the first row on.
        self._blocks = (
            [(0, min(layers_a, layers_b))]
            if layers_b is not None
            else [(k, min(k + _ROWS, layers_a)) for k in range(0, layers_a, _ROWS)]
        )
        numbers = sum((end - start) * self._columns(start) for start, end in self._blocks)
        self.add_state("sums", torch.zeros(replicates * numbers, dtype=torch.float64), "sum")

    def update(self, vectors_a: Tensor, vectors_b: Tensor | None, n: int, batch: int) -> None:
        """Add one batch.

        Args:
            vectors_a: (La, m) float32 or float64, rows as `CKA.vectors` gives them; not changed.
            vectors_b: (Lb, m) of the same type; None with itself.
            n: number of examples.
            batch: its number in the run.
        """
        if (vectors_b is None) != (self.layers_b is None):
            raise ValueError("vectors_b belong to a metric with layers_b, and to no other")
        drawn = permutations(self.seed, batch, self.replicates, n, vectors_a.device)
        small, large = vectors_a, vectors_a if vectors_b is None else vectors_b
        if len(large) < len(small):  # <P a, b> = <a, P^-1 b>
            small, large, drawn = large, small, drawn.argsort(dim=1)
        small, small_scale = _scaled(small)
        large, large_scale = (small, small_scale) if vectors_b is None else _scaled(large)
        small = small.T.contiguous()  # a gather then moves rows of memory
        pairs = pairs_of(n, self.estimator == "biased", small.device)
        for begin in range(0, len(small), _SLICE):
            piece = slice(begin, begin + _SLICE)
            index = permuted_pairs(drawn, pairs[:, piece], self.estimator == "biased")
            for (start, end), block in zip(self._blocks, self._views(), strict=True):
                first = start if self.layers_b is None else 0
                scale = torch.outer(large_scale[first:], small_scale[start:end])
                rows = small[:, start:end].contiguous()
                self._add(block, scale, large[first:, piece].contiguous(), rows, index)

    def _add(
        self, block: Tensor, scale: Tensor, large: Tensor, small: Tensor, index: Tensor
    ) -> None:
        """block (K, columns, rows) += scale * large (columns, w) times what index (K, w) takes of
        small (m, rows)."""
        columns, rows = len(large), small.shape[1]
        step = max(1, self._limit(small) // (rows * index.shape[1] * small.element_size()))
        for some, sums in zip(index.split(step), block.split(step), strict=True):
            permuted = small.index_select(0, some.reshape(-1)).view(*some.shape, rows)
            found = torch.bmm(large.expand(len(some), *large.shape), permuted)
            sums.addcmul_(found.double(), scale.expand(len(some), columns, rows))

    def bytes_beside(self, n: int) -> int:
        """What a batch of n examples, and `pair` of 32 layers with all, need beside the states."""
        rows = self.layers_a + (self.layers_b or 0)
        vectors = 3 * 8 * rows * n * (n + 1) // 2
        drawn = 8 * self.replicates * (6 * min(_SLICE, n * (n + 1) // 2) + 5 * n)
        chunk = max(self._limit(self.sums), 8 * _SLICE * _ROWS)
        return vectors + drawn + chunk + 3 * 8 * self.replicates * rows * _ROWS

    def _limit(self, x: Tensor) -> int:
        return _ON_GPU if x.is_cuda else _IN_CACHE

    def compute(self) -> Tensor:
        """(K, La, Lb) float64: the sums S_ab of each replicate; symmetric with itself."""
        columns = self.layers_a if self.layers_b is None else self.layers_b
        return self.pair(list(range(self.layers_a)), list(range(columns)))

    def pair(self, rows_a: list[int], rows_b: list[int]) -> Tensor:
        """(K, len(rows_a), len(rows_b)) float64: `compute` of some layers of each list.

        With itself, of two layers the one that comes first in the list was permuted.
        """
        i = torch.tensor(rows_a, device=self.device)[:, None]
        j = torch.tensor(rows_b, device=self.device)[None, :]
        if self.layers_b is not None:
            (block,) = self._views()
            return block[:, j, i] if self.layers_a <= self.layers_b else block[:, i, j]
        i, j = torch.minimum(i, j), torch.maximum(i, j)
        found = self.sums.new_empty(self.replicates, *i.shape)
        for (start, end), block in zip(self._blocks, self._views(), strict=True):
            here = (start <= i) & (i < end)
            found[:, here] = block[:, j[here] - start, i[here] - start]
        return found

    def _columns(self, start: int) -> int:
        if self.layers_b is None:
            return self.layers_a - start
        return max(self.layers_a, self.layers_b)

    def _views(self) -> list[Tensor]:
        """The blocks of the sums: (K, columns, rows) each."""
        shapes = [(self._columns(start), end - start) for start, end in self._blocks]
        sizes = [self.replicates * columns * rows for columns, rows in shapes]
        parts = self.sums.split(sizes)
        return [
            part.view(self.replicates, *shape) for part, shape in zip(parts, shapes, strict=True)
        ]


def _scaled(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """A copy with largest values of about 1 in each row, and (L,) float64 that brings it back."""
    exponents = exponents_of(vectors)
    back = torch.ldexp(torch.ones_like(exponents, dtype=torch.float64), exponents)
    return torch.ldexp(vectors, -exponents[:, None]), back


class Calibration(NamedTuple):
    """What `calibrated` returns, each (...) float64; NaN where what was observed, or its null, is.

    null_mean: the mean under permutation.
    line: tau, which by chance a share alpha of all is above.
    p_value: (1 + number of replicates at least as large) / (K + 1).
    score: (observed - tau) / (1 - tau) within 0 and 1: 0 is chance, 1 is the same.
    """

    null_mean: Tensor
    line: Tensor
    p_value: Tensor
    score: Tensor


def calibrated(observed: Tensor, null: Tensor, alpha: float = 0.05) -> Calibration:
    """Similarities against what they are by chance (Groeger, Wen & Brbic 2026, algorithm 1).

    Args:
        observed: (...) float64, similarities of at most 1.
        null: (K, ...) float64, the same under K permutations.
        alpha: share of chance above the line: tau is the order statistic ceil((1 - alpha)(K + 1))
            of the observed one and its K replicates together.
    """
    count = len(null) + 1
    together = torch.cat([observed[None], null])
    place = min(max(math.ceil((1 - alpha) * count - 1e-9), 1), count)
    line = together.sort(dim=0).values[place - 1]
    p_value = (1 + (null >= observed - _TIE).sum(0)).double() / count
    score = ((observed - line) / (1 - line).clamp(min=1e-12)).clamp(0, 1)
    blank = together.isnan().any(0)
    found = null.mean(0), line, p_value, score
    return Calibration(*(torch.where(blank, torch.nan, each) for each in found))
