"""From the Gram matrices of one batch to its scores, shares and HSIC vectors, of one model."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from vitprobe import ops
from vitprobe.metrics.first_component import largest_eigenvalues
from vitprobe.metrics.grams import Packing, double_centre_
from vitprobe.metrics.kernels import rounding_step
from vitprobe.ops.reference import first_norms
from vitprobe.ops.wide import wide, wide_home

OUTLYING = 4  # times a batch's median score: left out whatever the share
CHUNK = 2**22  # bytes of matrices that are unpacked at a time: they stay in the cache
_COPIES = 4  # of such a chunk at once, at most


class PackedGrams:
    """Stands where `SiteVectors` has a `metrics.CKA`, so that it fills its rows with packed Gram
    matrices of the sites instead of centred vectors.

    Args:
        device: where they are kept. features: of each site.
    """

    def __init__(self, device: torch.device, features: list[int]):
        self.device = device
        self.features = torch.tensor(features, dtype=torch.float64).to(device)
        self.filled: tuple[Tensor, Tensor] | None = None

    def vector_length(self, n: int) -> int:
        """n(n+1)/2."""
        return n * (n + 1) // 2

    def reduce_(self, vectors: Tensor, norms: Tensor, xs: list[Tensor]) -> None:
        """Fill rows with the Gram matrices of activations (n, ...), and their noise's norms."""
        for row, x in zip(vectors, xs, strict=True):
            row.copy_(ops.gram(x))
        norms.copy_(first_norms(xs))

    def noise_of(self, norms: Tensor, scales: Tensor, n: int) -> Tensor:
        """(sites,) float64: distances between examples that are rounding."""
        return norms * scales * self.features.pow(0.25)

    def update_vectors(self, vectors: Tensor, noise: Tensor, n: int, batch: int) -> None:
        """The batch is whole: `filled` is the packed matrices, and what `noise_of` gave."""
        self.filled = vectors, wide(noise)


@dataclass
class BatchOfGrams:
    """One batch at all sites of one model; float64, where float64 can be.

    packed: (sites, n(n+1)/2), as `ops.gram` gives it; NaN for a site that did not fire. rounding:
    (sites,), `PackedGrams.noise_of`. numbers: (n,) int64, of the examples. drop: share that is left
    out, at least.
    """

    packed: Tensor
    rounding: Tensor
    numbers: Tensor
    drop: float

    def __post_init__(self) -> None:
        self.n = len(self.numbers)
        self.numbers = self.numbers.to(self.rounding.device)
        self._packing = _packing(self.n, wide_home(self.packed.device))

    def shares(self, vectors: Tensor) -> Tensor:
        """(sites,): the first principal component's share of the variance; NaN where there is none.

        Fills vectors, (sites, n(n-1)/2), with HSIC vectors of all examples; from then on `scores`
        and what follows are there.
        """
        squares, firsts = [], []
        for rows in self._chunks():
            grams = double_centre_(self._packing.unpacked(wide(self.packed[rows])))
            squares.append(grams.diagonal(dim1=1, dim2=2).clone())
            firsts.append(largest_eigenvalues(grams))
        for vector, packed in zip(vectors, self.packed, strict=True):
            vector.copy_(ops.center_pack(packed))
        self.squares = torch.cat(squares)  # (sites, n): |x_i - mean|^2
        total = self.squares.sum(1)
        varies = total > self.n * self.rounding.square()
        self.relative = self.squares * (self.n / torch.where(varies, total, torch.nan))[:, None]
        self.scores = self.relative.nanmean(0)
        return torch.where(varies, torch.cat(firsts) / total, torch.nan)

    @property
    def kept(self) -> Tensor:
        """(n,) float64: 0 for those with the highest scores, 1 for the others.

        Left out are ceil(drop n) examples, and every one whose score is above OUTLYING times the
        median: half of the batch at most. Of equal scores the smaller number goes first.
        """
        order = self.numbers.argsort()
        order = order[self.scores[order].argsort(descending=True, stable=True)]
        places = torch.empty_like(order)
        places[order] = torch.arange(self.n, device=order.device)
        outlying = self.scores > OUTLYING * self.scores.median()
        count = math.ceil(round(self.drop * self.n, 9))  # 0.07 of 100 are 7, not 8
        return 1 - ((places < count) | outlying).double()

    def without(self, vectors: Tensor, kept: Tensor) -> Tensor:
        """Fill vectors with HSIC vectors of the kept alone; (sites,): what of their squares is
        rounding, of Gram matrices about the mean of all examples."""
        for rows in self._chunks():
            vectors[rows] = self._packing.u_centred(wide(self.packed[rows]), kept).to(vectors)
        largest = (self.squares * kept).amax(1)
        step = rounding_step(self.packed.dtype)
        return (step * largest + self.rounding.square()).square() * (self.n * (self.n - 1) / 2)

    def _chunks(self) -> list[slice]:
        at_once = max(1, CHUNK // (8 * self.n**2))
        return [slice(k, k + at_once) for k in range(0, len(self.packed), at_once)]


@lru_cache(maxsize=2)  # the batches of a run have one size, but for the last
def _packing(n: int, device: torch.device) -> Packing:
    return Packing(n, device)


def bytes_beside(n: int, sites: int) -> int:
    """What `BatchOfGrams` needs for a while beside what it is given and fills."""
    one = 8 * n * n
    return _COPIES * min(max(CHUNK, one), sites * one)
