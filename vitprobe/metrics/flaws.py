"""Why layers have no value: which batch first showed it."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torchmetrics import Metric

from vitprobe.metrics.silence import NEVER


class Flaws(Metric):
    """Of each of `count` layers the first batch in which it did not fire, was not finite, or was
    constant; parts merge by the least."""

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, count: int, **kwargs):
        super().__init__(**kwargs)
        for name in ("silent", "not_finite", "constant"):
            self.add_state(name, torch.full((count,), NEVER), "min")

    def update(
        self, silent: Iterable[int], not_finite: Tensor, constant: Tensor, batch: int
    ) -> None:
        """Add one batch. silent: layers. not_finite, constant: (count,) bool."""
        self.silent[list(silent)] = self.silent[list(silent)].clamp(max=batch)
        for name, found in (("not_finite", not_finite), ("constant", constant)):
            first = getattr(self, name)
            setattr(self, name, torch.where(found.to(first.device), first.clamp(max=batch), first))

    def compute(self) -> Tensor:
        """(3, count) int64: the first batches, 2**63 - 1 where there was none."""
        return torch.stack([self.silent, self.not_finite, self.constant])

    def reasons(self) -> list[str]:
        """Why a layer cannot be measured at all, or "": constant ones can be looked at yet."""
        return [
            f"did not fire in batch {silent}"
            if silent != NEVER
            else f"non-finite values (first in batch {bad})"
            if bad != NEVER
            else ""
            for silent, bad in zip(self.silent.tolist(), self.not_finite.tolist(), strict=True)
        ]
