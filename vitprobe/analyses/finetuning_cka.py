"""CKA of one layer in several checkpoints, for many layers: a metric for each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vitprobe.metrics import CKA


class LayerwiseCKA:
    """What `SiteVectors` wants of a metric, of one `CKA` for each layer.

    No product of two different layers is made, and none kept: with K checkpoints and L layers the
    sums are L K^2 numbers, where one metric of all would have (L K)^2.

    Args:
        metrics: for each layer, in order, that of its K checkpoints.
    """

    def __init__(self, metrics: Sequence[CKA]):
        self.metrics = metrics
        first = metrics[0]
        self.device = first.device
        self.vector_length, self.reduce_ = first.vector_length, first.reduce_
        self.noise_of = first.noise_of

    def update_vectors(self, vectors: Tensor, noise: Tensor, n: int, batch: int) -> None:
        """Add one batch: rows of layer 0 in all checkpoints, then of layer 1, ...; see `CKA`."""
        each = len(vectors) // len(self.metrics)
        parts = zip(self.metrics, vectors.split(each), noise.split(each), strict=True)
        for metric, rows, floors in parts:
            metric.update_vectors(rows, floors, n, batch)


def with_the_first(metric: CKA) -> tuple[Tensor, Tensor]:
    """CKA of one layer in the first checkpoint with that in each, and standard errors: (K,)."""
    result = metric.compute()
    count = metric.layers_a
    return tuple(values.reshape(count, count)[0] for values in (result.cka, result.se))


def errors_with_the_first(metrics: Sequence[CKA]) -> Tensor:
    """(layers, K - 1): of each with the first, which has none with itself."""
    return torch.stack([with_the_first(metric)[1][1:] for metric in metrics])
