"""How alike models are: CKA of all their layers, their best matches, and what is known of it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from scipy.stats import t as student
from torch import Tensor

from vitprobe.metrics.best_matches import best_matches, mean_matches, symmetric
from vitprobe.metrics.cka import CKA

GROUPS = 16  # of batches, for the jackknife
LEVEL = 0.95  # of intervals
_SQUARES = 6  # (layers, layers) float64 that `compute` has at once beside those of CKA


class ModelCKAResult(NamedTuple):
    """What `ModelCKA.compute` returns, of L layers of M models; float64 unless it says otherwise.

    best, best_se: (L, M) the CKA of each layer with its best match in each model, and the standard
        error of that cell (delta method, as `CKA`).
    place: (L, M) int64, the best match, -1 where there is none.
    alike: (L, L) bool: whether the layer of the column cannot be told from the best match of the
        row's layer in the column's model: its CKA is no smaller, within the 95 % interval of the
        difference (jackknife). True for the best match itself.
    matched, matched_se: (M, M) mean over the layers of a model (rows) of the best in another.
    similarity, similarity_se: (M, M) the mean of both directions.
    df: degrees of freedom of Student's t for similarity +- t se; 0: no error bars.
    """

    best: Tensor
    best_se: Tensor
    place: Tensor
    alike: Tensor
    matched: Tensor
    matched_se: Tensor
    similarity: Tensor
    similarity_se: Tensor
    df: float


class ModelCKA(CKA):
    """CKA of all layers of several models in one stack, with the similarity of every two models.

    A mean of maxima needs the joint errors of all cells, which the sums of `CKA` do not have. So
    batch t is also added to group t mod 16, and the standard errors of what is made of several
    cells are those of the delete-a-group jackknife (Kott 2001; with up to 16 batches each is a
    group of its own, the delete-one jackknife of Quenouille and Tukey): everything, the choice of
    the best match included, is done again without each group in turn.

    Args:
        counts: layers of each of M models; their rows follow one another.
        kernel, estimator, passes: as for `CKA`.
    """

    def __init__(self, counts: Sequence[int], **options):
        super().__init__(sum(counts), **options)
        self.counts = list(counts)
        total = sum(counts)
        self.add_state("grouped", torch.zeros(GROUPS, total, total, dtype=torch.float64), "sum")
        self.add_state("filled", torch.zeros(GROUPS, dtype=torch.int64), "sum")

    def _add(self, sums: Tensor, noise: Tensor, n: int, batch: int | None) -> None:
        group = int(self.batches if batch is None else batch) % GROUPS
        super()._add(sums, noise, n, batch)
        self.grouped[group] += sums
        self.filled[group] += 1

    def bytes_beside(self, n: int) -> int:
        return super().bytes_beside(n) + 8 * _SQUARES * self.sums.numel()

    def compute(self) -> ModelCKAResult:
        """Best matches, similarities and their errors over all batches so far."""
        cells = super().compute()
        shape = self.sums.shape  # torchmetrics makes one number a scalar
        cka, error = cells.cka.reshape(shape), cells.se.reshape(shape)
        best, place = best_matches(cka, self.counts)
        matched = mean_matches(best, self.counts)
        whole = {"matched": matched, "similarity": symmetric(matched)}
        gaps = self._gaps(cka, place)
        moments = {name: [0.0, 0.0] for name in (*whole, "gaps")}
        for again in self._without_each():
            means = mean_matches(best_matches(again, self.counts)[0], self.counts)
            found = {"matched": means, "similarity": symmetric(means)}
            found["gaps"] = self._gaps(again, place)
            for name, values in found.items():
                change = values - (gaps if name == "gaps" else whole[name])
                moments[name][0] += change
                moments[name][1] += change.square()
        errors = {name: self._jackknifed(*both, cka) for name, both in moments.items()}
        df = self.degrees
        none = place < 0
        best_se = error.gather(1, place.clamp(min=0)).masked_fill(none, torch.nan)
        half = student.ppf((1 + LEVEL) / 2, df) if df > 0 else 0.0
        alike = gaps <= half * errors["gaps"].nan_to_num(nan=0.0)
        return ModelCKAResult(
            best,
            best_se,
            place,
            alike & gaps.isfinite(),
            matched,
            errors["matched"].expand_as(matched),
            whole["similarity"],
            errors["similarity"].expand_as(matched),
            df,
        )

    @property
    def degrees(self) -> float:
        """Of freedom of the jackknife; at least 0."""
        groups = int((self.filled > 0).sum())
        return max(min(groups, int(self.batches) / self.passes) - 1, 0.0)

    def _without_each(self) -> Iterator[Tensor]:
        """CKA (L, L) without each group of batches in turn; none where there is one group only."""
        filled = (self.filled > 0).nonzero().flatten().tolist()
        for group in filled if len(filled) > 1 else ():
            sums = self.sums - self.grouped[group]
            own = torch.where(self._blank(), torch.nan, sums.diagonal())
            yield sums / torch.outer(own, own).sqrt()

    def _gaps(self, cka: Tensor, place: Tensor) -> Tensor:
        """(L, L): how much less than the match at `place`, in its own model, each column has."""
        at = cka.gather(1, place.clamp(min=0)).masked_fill(place < 0, torch.nan)
        counts = torch.tensor(self.counts, device=at.device)
        return at.repeat_interleave(counts, dim=1) - cka

    def _jackknifed(self, change: Tensor, squared: Tensor, like: Tensor) -> Tensor:
        """Standard errors, of sums over the groups of changes and of their squares."""
        groups = int((self.filled > 0).sum())
        if groups < 2:
            return like.new_tensor(torch.nan)
        variance = (groups - 1) / groups * (squared - change.square() / groups)
        return (self.passes * variance.clamp(min=0)).sqrt()
