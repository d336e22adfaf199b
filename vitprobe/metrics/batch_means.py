"""Means over batches of what each batch gives for all pairs of layers, with error bars."""

import torch
from torch import Tensor
from torchmetrics import Metric

from vitprobe.metrics.silence import NEVER

_SQUARES = 8  # (layers, layers) float64 that `compute` has at once


class BatchMeans(Metric):
    """The mean over batches, weighted by their examples, of a value for each pair of layers.

    For measures that no sums give: the result is that of batches of their size. The standard error
    is that of a weighted mean of independent batches.

    Args:
        count: layers.
        passes: how many times the batches go through the same examples.

    Example:
        >>> metric = BatchMeans(1)
        >>> for value in (1.0, 3.0):
        ...     metric.update(torch.tensor([[value]]), n=8)
        >>> [each.item() for each in metric.compute()]
        [2.0, 1.0]
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, count: int, *, passes: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.passes = passes
        square = torch.zeros(count, count, dtype=torch.float64)
        for name in ("sums", "weighted", "squares"):
            self.add_state(name, square.clone(), "sum")  # n v, n^2 v, n^2 v^2
        for name in ("weight", "weight_squared"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), "sum")  # n, n^2
        self.add_state("batches", torch.zeros((), dtype=torch.int64), "sum")
        self.add_state("first_bad", torch.full((count,), NEVER), "min")

    def update(self, values: Tensor, n: int, batch: int | None = None) -> None:
        """Add what a batch of n examples gave: (count, count) float64, NaN on the diagonal of a
        layer without a value. batch: its number; None: that of the batches so far."""
        values = values.to(self.sums)
        now = self.first_bad.clamp(max=self.batches if batch is None else batch)
        self.first_bad = torch.where(values.diagonal().isfinite(), self.first_bad, now)
        self.sums += n * values
        self.weighted += n**2 * values
        self.squares += n**2 * values.square()
        self.weight += n
        self.weight_squared += n**2
        self.batches += 1

    def bytes_beside(self) -> int:
        """What `compute` needs beside the states."""
        return 8 * _SQUARES * self.sums.numel()

    def compute(self) -> tuple[Tensor, Tensor]:
        """The means and their standard errors, (count, count) float64; no error of one batch."""
        blank = self.blank()
        mean = torch.where(blank[:, None] | blank, torch.nan, self.sums / self.weight)
        count = int(self.batches)
        if count < 2:
            return mean, torch.full_like(mean, torch.nan)
        spread = self.squares - 2 * mean * self.weighted + mean.square() * self.weight_squared
        error = (self.passes * count / (count - 1) * spread.clamp(min=0)).sqrt() / self.weight
        return mean, error

    def blank(self) -> Tensor:
        """(count,) whether a layer has no value, since it had none in some batch."""
        return self.first_bad != NEVER
