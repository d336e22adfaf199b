"""A few images a class: which ones, and the probe of big_vision."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vitprobe.ops.wide import wide
from vitprobe.probes.ridge import plus_minus_one, solve

BIG_VISION_L2 = 2.0**10
_BIAS = 100.0  # so large that its weight is hardly penalised


def shots_of(labels: Tensor, shots: int, seed: int) -> Tensor:
    """Which examples a few-shot probe learns from, as big_vision draws them.

    `default_rng(seed).permutation(where(labels == c))[:shots]` for each class c in order.

    Args:
        labels: (n,) integers.
        shots: examples a class; every class that is there must have as many.
        seed: of the draw.

    Returns: (classes x shots,) int64 indices, by class, on the CPU.
    """
    labels = np.asarray(labels.cpu())
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.where(labels == c)[0])[:shots] for c in np.unique(labels)]
    return torch.from_numpy(np.concatenate(drawn))


def big_vision(
    x: Tensor,
    labels: Tensor,
    test_x: Tensor,
    shots: int,
    seed: int,
    l2: float | Sequence[float] = BIG_VISION_L2,
    classes: int | None = None,
) -> Tensor:
    """Scores of test examples by the few-shot probe of big_vision (`fewshot_lsr`).

    Features are standardised with the few-shot set's mean and (standard deviation + 1e-5), a
    constant feature 100.0 stands for the bias (it is penalised too), targets are 2 onehot - 1.

    Args:
        x: (n, p) training features.
        labels: (n,) integers from 0 on.
        test_x: (m, p).
        shots: examples a class.
        seed: of `shots_of`.
        l2: penalty, or several.
        classes: their number; None: the largest label + 1.

    Returns: (m, classes) float64; of several penalties (len(l2), m, classes).
    """
    chosen = shots_of(labels, shots, seed).to(x.device)
    classes = int(labels.max()) + 1 if classes is None else classes
    few, test = wide(x[chosen]), wide(test_x)
    mean, scale = few.mean(0), few.std(0, correction=0) + 1e-5
    few, test = ((z - mean) / scale for z in (few, test))
    few, test = (torch.nn.functional.pad(z, (0, 1), value=_BIAS) for z in (few, test))
    targets = plus_minus_one(labels[chosen.to(labels.device)], classes).to(few.device)
    l2s = [l2] if isinstance(l2, (int, float)) else list(l2)
    if len(few) >= few.shape[1]:
        weights = solve(few.mT @ few, few.mT @ targets, l2s)
    else:
        weights = few.mT @ solve(few @ few.mT, targets, l2s)
    scores = test @ weights
    return scores[0] if isinstance(l2, (int, float)) else scores
