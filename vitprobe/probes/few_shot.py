"""A few images a class: which ones, and the probe of big_vision."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from vitprobe.errors import InputError, option
from vitprobe.ops.wide import wide
from vitprobe.probes.labels import check_labels
from vitprobe.probes.ridge import plus_minus_one, without_bias

BIG_VISION_L2 = 2.0**10
_BIAS = 100.0  # so large that its weight is hardly penalised


def shots_of(labels: Tensor, shots: int, seed: int) -> Tensor:
    """Which examples a few-shot probe learns from, as big_vision draws them.

    `default_rng(seed).permutation(where(labels == c))[:shots]` for each class c in order, of those
    that have examples. The draw is of positions: of a seed it is another one where the examples
    are in another order.

    Args:
        labels: (n,) integers.
        shots: examples a class, 1 or more.
        seed: of the draw, 0 or more.

    Returns: (classes x shots,) int64 indices, by class, on the device of labels.

    Raises:
        InputError: a class has fewer examples than `shots`.
    """
    if shots < 1:
        raise InputError(f"{option('shots')} is 1 or more, not {shots}")
    there = labels.cpu().numpy()
    rng = np.random.default_rng(seed)
    drawn = []
    for c in np.unique(there):
        (where,) = np.nonzero(there == c)
        if len(where) < shots:
            raise InputError(
                f"{option('shots', shots)}: class {c} has {len(where)} training "
                f"{'example' if len(where) == 1 else 'examples'}; take fewer shots"
            )
        drawn.append(rng.permutation(where)[:shots])
    return torch.from_numpy(np.concatenate(drawn)).to(labels.device)


def big_vision_weights(
    few: Tensor, labels: Tensor, classes: int, l2s: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights and bias of big_vision's probe, for features as they are, and its own norms.

    Features are standardised with the few-shot set's mean and (standard deviation + 1e-5), a
    constant feature 100.0 stands for the bias (it is penalised too), targets are 2 onehot - 1.

    Args:
        few: (n, p) features of the few-shot set.
        labels: (n,) integers from 0 to classes - 1.
        classes: their number.
        l2s: penalties.

    Returns: weights (len(l2s), p, classes), bias (len(l2s), classes), and (len(l2s),) norms of what
    was penalised; float64.
    """
    few = wide(few)
    mean, scale = few.mean(0), few.std(0, correction=0) + 1e-5
    inputs = pad((few - mean) / scale, (0, 1), value=_BIAS)
    found = without_bias(inputs, plus_minus_one(labels, classes).to(few.device), l2s)
    weights = found[:, :-1] / scale[:, None]
    bias = _BIAS * found[:, -1] - mean @ weights
    return weights, bias, found.flatten(1).norm(dim=1)


def big_vision(
    x: Tensor,
    labels: Tensor,
    test_x: Tensor,
    shots: int,
    seed: int,
    l2: float = BIG_VISION_L2,
    classes: int | None = None,
) -> Tensor:
    """Scores of test examples by the few-shot probe of big_vision (`evaluators/fewshot_lsr.py`).

    Args:
        x: (n, p) training features.
        labels: (n,) integers from 0 to classes - 1.
        test_x: (m, p).
        shots: examples a class, drawn by `shots_of`.
        seed: of the draw.
        l2: penalty, see `big_vision_weights`.
        classes: their number; None: the largest label + 1.

    Returns: (m, classes) float64.

    Raises:
        InputError: a class has fewer examples than `shots`.
    """
    classes = int(labels.max()) + 1 if classes is None else classes
    check_labels(labels, classes)
    drawn = shots_of(labels, shots, seed)
    few = x[drawn.to(x.device)]
    weights, bias, _ = big_vision_weights(few, labels[drawn], classes, [l2])
    return wide(test_x) @ weights[0] + bias[0]
