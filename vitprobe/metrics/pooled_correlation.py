"""Correlation of many layers' values over all that any batch gave, streamed, with error bars."""

import torch
from torch import Tensor
from torchmetrics import Metric

from vitprobe.metrics.cka import products
from vitprobe.metrics.silence import NEVER

NOTHING = 1e-12  # of the mean square: a variance that rounding alone could make
_SQUARES = 16  # (layers, layers) float64 that `compute` has at once


class PooledCorrelation(Metric):
    """Pearson's correlation, or the cosine, of every layer's values with every other's.

    A batch gives each layer a list of values, such as the distances of its pairs of examples. Their
    moments are summed: the correlation is that of all lists joined, whatever the batches were. The
    standard error is the delta method's over batches.

    Args:
        count: layers.
        centred: correlation; else the cosine, in which the mean stays.
        passes: how many times the batches go through the same examples.

    Example:
        >>> metric = PooledCorrelation(2)
        >>> x = torch.randn(50, generator=torch.manual_seed(0), dtype=torch.float64)
        >>> metric.update(torch.stack([x, 3 - 2 * x]))
        >>> round(metric.compute()[0][0, 1].item(), 9)
        -1.0
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, count: int, *, centred: bool = True, passes: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.centred, self.passes = centred, passes
        square = torch.zeros(count, count, dtype=torch.float64)
        # of a batch: P_ab the products of values, s_a their sums, m how many there are
        for name in ("products", "products_squared", "products_own", "own_own"):
            self.add_state(name, square.clone(), "sum")  # P_ab, P_ab^2, P_ab P_aa, P_aa P_bb
        for name in ("products_sum", "own_sum", "sum_sum", "products_size"):
            self.add_state(name, square.clone(), "sum")  # P_ab s_a, P_aa s_b, s_a s_b, P_ab m
        for name in ("sums", "sums_size"):
            self.add_state(name, square[0].clone(), "sum")  # s_a, s_a m
        for name in ("size", "size_squared"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), "sum")  # m, m^2
        self.add_state("batches", torch.zeros((), dtype=torch.int64), "sum")
        self.add_state("first_bad", torch.full((count,), NEVER), "min")

    def update(self, values: Tensor, batch: int | None = None) -> None:
        """Add one batch: (count, m) float64, row a of layer a; used up (scaled in place).

        batch: its number, for `first_bad`; None: that of the batches so far.
        """
        size, sums = values.shape[1], values.sum(1)
        found = products(values)
        own = found.diagonal()
        now = self.first_bad.clamp(max=self.batches if batch is None else batch)
        self.first_bad = torch.where(own.isfinite(), self.first_bad, now)
        self.products += found
        self.products_squared += found.square()
        self.products_own += found * own[:, None]
        self.own_own += torch.outer(own, own)
        self.products_sum += found * sums[:, None]
        self.own_sum += torch.outer(own, sums)
        self.sum_sum += torch.outer(sums, sums)
        self.products_size += found * size
        self.sums += sums
        self.sums_size += sums * size
        self.size += size
        self.size_squared += size**2
        self.batches += 1

    def bytes_beside(self) -> int:
        """What `compute` needs beside the states."""
        return 8 * _SQUARES * self.products.numel()

    def compute(self) -> tuple[Tensor, Tensor]:
        """The correlations and their standard errors, (count, count) float64; NaN: see `blank`;
        without an error where there was one batch only."""
        mean = self._mean()
        spread = self.products - self.size * torch.outer(mean, mean)
        own = torch.where(self.blank(), torch.nan, spread.diagonal())
        scale = torch.outer(own, own).sqrt()
        found = spread / scale
        count = int(self.batches)
        if count < 2:
            return found, torch.full_like(found, torch.nan)
        influence = self._influence_squared(found, own, scale, mean).clamp(min=0)
        return found, (self.passes * count / (count - 1) * influence).sqrt()

    def blank(self) -> Tensor:
        """(count,) whether a layer has no correlation: its values are not finite, or all alike."""
        own, mean = self.products.diagonal(), self._mean()
        spread = own - self.size * mean.square()
        return (self.first_bad != NEVER) | ~(spread > NOTHING * own)

    def _mean(self) -> Tensor:
        return self.sums / self.size if self.centred else torch.zeros_like(self.sums)

    def _influence_squared(self, found: Tensor, own: Tensor, scale: Tensor, mean: Tensor) -> Tensor:
        """Sum over batches of psi_t^2, the influence of batch t on R = found_ab.

        psi_t = c_ab / sqrt(C_aa C_bb) - R/2 (c_aa / C_aa + c_bb / C_bb), where c are the batch's
        products of values less their mean over all batches, and C their sums. It is linear in what
        a batch gives, (P_ab, P_aa, P_bb, s_a, s_b, m), of which the second moments were summed.
        """
        a, b = mean[:, None], mean[None, :]
        of_a, of_b = found / (2 * own[:, None]), found / (2 * own[None, :])
        factors = [
            1 / scale,
            -of_a,
            -of_b,
            2 * of_a * a - b / scale,
            2 * of_b * b - a / scale,
            a * b / scale - of_a * a**2 - of_b * b**2,
        ]
        squares = self.sum_sum.diagonal()
        own_size, own_own_sum = self.products_size.diagonal(), self.own_sum.diagonal()
        moments = [
            [self.products_squared, self.products_own, self.products_own.T, self.products_sum,
             self.products_sum.T, self.products_size],
            [self.own_own.diagonal()[:, None], self.own_own, own_own_sum[:, None], self.own_sum,
             own_size[:, None]],
            [self.own_own.diagonal()[None, :], self.own_sum.T, own_own_sum[None, :],
             own_size[None, :]],
            [squares[:, None], self.sum_sum, self.sums_size[:, None]],
            [squares[None, :], self.sums_size[None, :]],
            [self.size_squared],
        ]  # fmt: skip
        total = torch.zeros_like(found)
        for i, row in enumerate(moments):
            for j, moment in enumerate(row, i):
                total += (1 if i == j else 2) * factors[i] * factors[j] * moment
        return total
