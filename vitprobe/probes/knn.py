"""Weighted nearest neighbours: a probe with nothing to fit."""

import torch
from torch import Tensor

from vitprobe.ops.wide import wide

_CHUNK = 2**24  # similarities at once: 128 MB


def knn_scores(
    train_x: Tensor,
    train_labels: Tensor,
    test_x: Tensor,
    classes: int,
    k: int = 20,
    temperature: float = 0.07,
) -> Tensor:
    """Votes of the k nearest training examples by cosine similarity s, each exp(s / temperature).

    As in Wu et al. 2018 (section 3.4) and DINO (Caron et al. 2021).

    Args:
        train_x: (n, p) features.
        train_labels: (n,) integers from 0 to classes - 1.
        test_x: (m, p).
        classes: their number.
        k: neighbours, at most n.
        temperature: above 0.

    Returns: (m, classes) float64, shares of the votes: a row sums to 1.
    """
    train = torch.nn.functional.normalize(wide(train_x), dim=1)
    labels = train_labels.long().to(train.device)
    found = []
    for part in test_x.split(max(1, _CHUNK // len(train))):
        nearest = torch.nn.functional.normalize(wide(part), dim=1) @ train.mT
        near, where = nearest.topk(k, dim=1)
        votes = ((near - near[:, :1]) / temperature).exp()
        scores = votes.new_zeros(len(part), classes).scatter_add_(1, labels[where], votes)
        found.append(scores / scores.sum(1, keepdim=True))
    return torch.cat(found)
