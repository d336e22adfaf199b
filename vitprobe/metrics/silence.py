"""Which of some places gave nothing in some batch, and in which first."""

from collections.abc import Iterable

import torch
from torchmetrics import Metric

NEVER = torch.iinfo(torch.int64).max


class Silence(Metric):
    """The first batch in which each of `count` places gave nothing; parts merge by the least.

    Example:
        >>> metric = Silence(3)
        >>> metric.update([1], batch=4)
        >>> metric.reasons()
        ['', 'did not fire in batch 4', '']
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, count: int, **kwargs):
        super().__init__(**kwargs)
        self.add_state("first", torch.full((count,), NEVER), "min")

    def update(self, silent: Iterable[int], batch: int) -> None:
        """Add one batch, in which these places gave nothing."""
        for place in silent:  # seldom any
            self.first[place] = min(int(self.first[place]), batch)

    def compute(self) -> torch.Tensor:
        """(count,) int64: the first such batch, 2**63 - 1 where there was none."""
        return self.first

    def reasons(self) -> list[str]:
        """Why a place has no value, or ""."""
        return [
            "" if first == NEVER else f"did not fire in batch {first}"
            for first in self.first.tolist()
        ]
