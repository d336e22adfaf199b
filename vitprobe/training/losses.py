"""The losses of an epoch: their sum, and the first that is not finite, without waiting on a GPU."""

from __future__ import annotations

import torch
from torch import Tensor


class Losses:
    """sums: float64 (2,) on the device: the losses times their counts, and the counts."""

    def __init__(self, device: torch.device):
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)
        self._unchecked: list[Tensor] = []

    def add(self, loss: Tensor, count: float) -> None:
        """A step's mean loss over `count` images."""
        self.sums[0] += loss.double() * count
        self.sums[1] += count
        self._unchecked.append(loss)

    def first_bad(self) -> tuple[int, float] | None:
        """Of the steps since the last call the first whose loss is not finite: how many steps ago
        (0: the last one), and the loss; None where all are finite. Waits for the device."""
        steps, self._unchecked = self._unchecked, []
        if bool(self.sums.isfinite().all()):
            return None
        values = torch.stack(steps).tolist()
        bad = next(i for i, value in enumerate(values) if not abs(value) < float("inf"))
        return len(values) - 1 - bad, values[bad]
