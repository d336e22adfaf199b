"""What linear probes of one layer are solved from: sums over examples, and single examples."""

import torch
from torch import Tensor
from torchmetrics import Metric

from vitprobe.metrics.silence import NEVER
from vitprobe.ops.wide import wide


class ProbeSums(Metric):
    """Features of some examples, and of others the sums that a ridge probe needs of them.

    Parts merge by addition: a row that a part has not seen is 0.

    Args:
        rows: examples whose features are kept, each in its row.
        tokens, features: T and p; each token has a probe of its own.
        classes: C; 0: there are no sums.
        dtype: of what is kept.

    States: `kept` (rows, T, p); float64 `gram` (T, p, p), sum of x x^T, `of_classes` (T, p, C), sum
    of the x of each class; `first_bad`, the first batch with something that is not finite.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(
        self,
        rows: int,
        tokens: int,
        features: int,
        classes: int = 0,
        dtype: torch.dtype = torch.float32,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.streams = bool(classes)
        self.add_state("kept", torch.zeros(rows, tokens, features, dtype=dtype), "sum")
        self.add_state("first_bad", torch.full((), NEVER), "min")
        if classes:
            gram = torch.zeros(tokens, features, features, dtype=torch.float64)
            of_classes = torch.zeros(tokens, features, classes, dtype=torch.float64)
            self.add_state("gram", gram, "sum")
            self.add_state("of_classes", of_classes, "sum")

    def update(
        self,
        x: Tensor,
        keep: tuple[Tensor, Tensor],
        summed: Tensor | None,
        onehot: Tensor | None,
        batch: int,
    ) -> None:
        """Add a batch.

        Args:
            x: (n, T, p) features.
            keep: int64 places in x, and the rows that they go to.
            summed: int64 places in x whose sums are taken. onehot: (m, C) float64, their classes.
            batch: its number.
        """
        x = x.to(self.kept.device)
        places, rows = keep
        self.kept[rows] = x[places].to(self.kept.dtype)
        now = self.first_bad.clamp(max=batch)
        self.first_bad = torch.where(x.sum(dtype=torch.float64).isfinite(), self.first_bad, now)
        if self.streams:
            z = wide(x[summed]).transpose(0, 1)  # (T, m, p)
            self.gram.baddbmm_(z.mT, z)
            self.of_classes.baddbmm_(z.mT, onehot.expand(len(z), -1, -1))

    def compute(self) -> Tensor:
        """The features that are kept."""
        return self.kept


class Told(Metric):
    """What is known of every example: its label, and the class that the model itself gives it.

    States, int64 (rows,): one more than the number of the class; 0: not seen.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, rows: int, **kwargs):
        super().__init__(**kwargs)
        self.add_state("labels", torch.zeros(rows, dtype=torch.int64), "sum")
        self.add_state("own", torch.zeros(rows, dtype=torch.int64), "sum")

    def update(self, rows: Tensor, labels: Tensor) -> None:
        """Add labels of the examples in these rows."""
        self.labels[rows] = labels + 1

    def update_own(self, rows: Tensor, classes: Tensor) -> None:
        """Add the model's own answers."""
        self.own[rows] = classes + 1

    def compute(self) -> tuple[Tensor, Tensor]:
        """Labels and answers; -1: not seen."""
        return self.labels - 1, self.own - 1
