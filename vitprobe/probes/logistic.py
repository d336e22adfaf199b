"""Multinomial logistic regression with an L2 penalty: scikit-learn's numbers, on any device."""

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from vitprobe.errors import InputError, VitprobeWarning
from vitprobe.ops.wide import wide
from vitprobe.probes.labels import check_labels, check_learnable
from vitprobe.probes.lbfgs import minimise
from vitprobe.probes.ridge import centred
from vitprobe.probes.spectrum import principal

_STEPS = (20, 20, 2000)  # after which the scales are made anew, of the curvature found


def logistic(
    x: Tensor, labels: Tensor, classes: int, l2s: Sequence[float], tolerance: float = 1e-7
) -> tuple[Tensor, Tensor]:
    """Weights and bias that minimise the sum of the log-losses + l2 / 2 |W|^2.

    The numbers of scikit-learn's `LogisticRegression(C=1 / l2)`; the bias is not penalised. As
    there, two classes have one difference of logits that is penalised: |W|^2 counts double. A
    class without an example gets weights 0 and a bias of -inf.

    Args:
        x: (n, p) features.
        labels: (n,) integers from 0 to classes - 1; at least two classes.
        classes: their number.
        l2s: penalties above 0: 1 / C.
        tolerance: largest entry of the gradient at the end, with respect to parameters in which
            the loss's curvature is about 1.

    Found by L-BFGS in the features' principal axes, where the Gram matrix and the penalty are
    diagonal and both are scaled away; from the largest penalty on, each begins where the one
    before ended. A warning says where the tolerance was not met.

    Returns: weights (len(l2s), p, classes) and bias (len(l2s), classes), float64, on the device of
    x.

    Raises:
        InputError: a label out of its range, one class, a penalty of 0.
    """
    check_labels(labels, classes)
    check_learnable(labels)
    if any(not l2 > 0 for l2 in l2s):
        raise InputError(f"l2 of logistic regression is above 0, not {min(l2s)}")
    x = wide(x)
    labels = labels.long().to(x.device)
    there, labels = labels.unique(return_inverse=True)
    mean = x.mean(0)
    axes = principal(centred(x, mean))
    energy = axes.values  # (r,)
    n, c = len(x), len(there)
    rows = torch.arange(n, device=x.device)

    def loss(logits: Tensor) -> tuple[Tensor, Tensor]:
        chances = logits.log_softmax(1)
        value = -chances[rows, labels].sum()
        slope = chances.exp_()
        slope[rows, labels] -= 1
        return value, slope

    def curvature(logits: Tensor, along: Tensor) -> Tensor:
        chances = logits.softmax(1)
        return ((chances * along).square().div(chances.clamp(min=1e-300)).sum(1)).sum() - (
            (chances * along).sum(1).square().sum()
        )

    weights = x.new_zeros(len(l2s), x.shape[1], classes)
    bias = x.new_full((len(l2s), classes), -math.inf)
    inner, offset = x.new_zeros(len(energy), c), x.new_zeros(c)
    steepness = 1 / c  # mean curvature of the loss: at first that of equal probabilities
    for at in sorted(range(len(l2s)), key=lambda i: -l2s[i]):
        l2 = l2s[at] * (2 if c == 2 else 1)
        for limit in _STEPS:
            scale = (steepness * energy + l2).rsqrt()[:, None]
            level = (steepness * n) ** -0.5

            def logits_of(t, scale=scale, level=level):
                return axes.forth(scale * t[:-1]) + level * t[-1]

            def back(g, scale=scale, level=level):
                return torch.cat([scale * axes.back(g), level * g.sum(0, keepdim=True)])

            penalty = torch.cat([l2 * scale.square(), scale.new_zeros(1, 1)])
            start = torch.cat([inner / scale, offset[None] / level])
            point, logits, met = minimise(
                logits_of, loss, curvature, back, penalty, start, tolerance, limit
            )
            inner, offset = scale * point[:-1], level * point[-1]
            chances = logits.softmax(1)
            steepness = max((chances - chances.square()).mean().item() * c / (c - 1), 1e-6)
            if met:
                break
        else:
            text = f"logistic regression at l2 = {l2s[at]:g} ended before its tolerance was met"
            warnings.warn(VitprobeWarning(text), stacklevel=2)
        found = axes.axes @ inner
        weights[at][:, there] = found
        bias[at][there] = offset - mean @ found
    return weights, bias
