"""The training losses of an epoch, summed and looked at without a wait for a GPU at every step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vitprobe.passes.processes import Processes


class Losses:
    """total: sum of the steps' mean losses times their images; images: how many these are.

    Both are of all processes together, and of the steps until the last `look`.
    """

    def __init__(self, processes: Processes, total: float = 0.0, images: int = 0):
        self.processes, self.total, self.images = processes, total, images
        self._steps: list[tuple[Tensor, int]] = []

    def add(self, loss: Tensor, images: int) -> None:
        """A step's loss, the mean over its `images`; of several processes each gives a loss of
        which the mean over processes is that mean."""
        self._steps.append((loss, images))

    def look(self) -> tuple[int, float] | None:
        """Sum up the steps since the last call; all processes call this after the same steps.

        Returns the first whose loss is not finite: how many steps ago (0: the last one), and the
        loss; None where all are finite. Waits for the device.
        """
        if not self._steps:
            return None
        losses, images = zip(*self._steps, strict=True)
        self._steps = []
        means = (self.processes.sum(torch.stack(losses)) / self.processes.count).tolist()
        for i, (loss, n) in enumerate(zip(means, images, strict=True)):
            if not math.isfinite(loss):
                return len(means) - 1 - i, loss
            self.total += loss * n
            self.images += n
        return None

    @property
    def mean(self) -> float:
        """Over the images so far; NaN before the first."""
        return self.total / self.images if self.images else math.nan
