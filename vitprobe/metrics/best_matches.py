"""Which layer of a model is most like a layer, and how alike two models are by that."""

from collections.abc import Sequence

import torch
from torch import Tensor


def best_matches(cka: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The largest value of each row among the columns of each model.

    Args:
        cka: (R, C) float64; NaN where a layer has no value.
        counts: layers of each of M models, which follow one another along the columns: they add up
            to C.

    Returns:
        (R, M) float64, NaN where there is none, and (R, M) int64, the columns, -1 there; of equal
        values the first.
    """
    values, places, begin = [], [], 0
    for part in cka.split(list(counts), dim=1):
        value, place = part.masked_fill(part.isnan(), -torch.inf).max(dim=1)
        none = value == -torch.inf
        values.append(value.masked_fill(none, torch.nan))
        places.append((place + begin).masked_fill(none, -1))
        begin += part.shape[1]
    return torch.stack(values, 1), torch.stack(places, 1)


def mean_matches(best: Tensor, counts: Sequence[int]) -> Tensor:
    """(M, M) float64: the mean over the layers of each model of their best matches in each model.

    best: (C, M), rows as the columns of `best_matches`. Layers without a value are left out; NaN
    where none has one.
    """
    return torch.stack([part.nanmean(0) for part in best.split(list(counts))])


def symmetric(means: Tensor) -> Tensor:
    """The mean of both directions, (..., M, M)."""
    return (means + means.mT) / 2
