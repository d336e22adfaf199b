"""Features of all examples together, a row for each: for what no sums over batches give."""

import torch
from torch import Tensor
from torchmetrics import Metric


class ExampleRows(Metric):
    """(examples, features) that are filled batch by batch; parts merge by addition, as what is not
    filled is zero.

    Args:
        examples: rows.
        features: columns, of all layers beside each other.
        dtype: float32 holds what float32 and half precision hold.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, examples: int, features: int, dtype: torch.dtype = torch.float32, **kwargs):
        super().__init__(**kwargs)
        self.add_state("rows", torch.zeros(examples, features, dtype=dtype), "sum")
        self.add_state("seen", torch.zeros(examples, dtype=torch.int64), "sum")

    def update(self, places: Tensor, first: int, x: Tensor) -> None:
        """Some features of some examples, once each.

        places: (n,) int64, which rows. first: the first column. x: (n, ...).
        """
        x = x.flatten(1)
        self.rows[places, first : first + x.shape[1]] = x.to(self.rows)

    def see(self, places: Tensor) -> None:
        """These examples have been filled."""
        self.seen[places] += 1

    def of(self, first: int, features: int) -> Tensor:
        """Of the examples that were seen, (n, features) float64."""
        return self.rows[self.seen > 0, first : first + features].double()

    def compute(self) -> Tensor:
        """All rows that were seen."""
        return self.rows[self.seen > 0]
