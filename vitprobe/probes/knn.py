"""Weighted nearest neighbours: a probe with nothing to fit."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from vitprobe.errors import InputError, option
from vitprobe.ops.wide import wide
from vitprobe.probes.labels import check_labels

_CHUNK = 2**23  # similarities at once: 64 MB
_EQUAL = 1e-12  # difference of cosines that may be rounding alone


def knn_scores(
    train_x: Tensor,
    train_labels: Tensor,
    test_x: Tensor,
    classes: int,
    k: int = 20,
    temperature: float = 0.07,
) -> Tensor:
    """Votes of the k nearest training examples by cosine similarity s, each exp(s / temperature).

    As in Wu et al. 2018 (section 3.4) and DINO (Caron et al. 2021). Training examples that are
    equally near at the k-th place share the places that are left, whatever their order. A zero
    vector is equally near to all.

    Args:
        train_x: (n, p) features.
        train_labels: (n,) integers from 0 to classes - 1.
        test_x: (m, p).
        classes: their number.
        k: neighbours, from 1 to n.
        temperature: above 0; small: the nearest decides.

    Returns: (m, classes) float64, shares of the votes: a row sums to 1.

    Raises:
        InputError: k, the temperature or a label is out of its range.
    """
    check_labels(train_labels, classes)
    if not 1 <= k <= len(train_x):
        raise InputError(f"{option('k', k)}: neighbours are 1 to {len(train_x)} training examples")
    if not temperature > 0:
        raise InputError(f"{option('temperature')} is above 0, not {temperature}")
    train = normalize(wide(train_x), dim=1)
    labels = train_labels.long().to(train.device)
    found = []
    for part in test_x.split(max(1, _CHUNK // len(train))):
        cosine = normalize(wide(part), dim=1) @ train.mT  # (chunk, n)
        near, where = cosine.topk(k, dim=1)
        votes = ((near - near[:, :1]) / temperature).exp()  # a common factor less: no overflow
        scores = votes.new_zeros(len(part), classes).scatter_add_(1, labels[where], votes)
        last = near[:, -1:]
        tied = (cosine >= last - _EQUAL).sum(1) > k
        if tied.any():
            scores[tied] = _shared(cosine[tied], last[tied], labels, classes, k, temperature)
        found.append(scores / scores.sum(1, keepdim=True))
    return torch.cat(found)


def _shared(
    cosine: Tensor, last: Tensor, labels: Tensor, classes: int, k: int, temperature: float
) -> Tensor:
    """Votes where more than k are at least as near as the k-th: those at its place share."""
    before = cosine > last + _EQUAL
    at = (cosine >= last - _EQUAL) & ~before
    share = (k - before.sum(1, keepdim=True)) / at.sum(1, keepdim=True)
    votes = ((cosine - cosine.amax(1, keepdim=True)) / temperature).exp() * (before + share * at)
    return votes.new_zeros(len(votes), classes).index_add_(1, labels, votes)
