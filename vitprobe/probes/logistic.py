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
            the loss's curvature at equal probabilities is 1.

    Found by L-BFGS in the features' principal axes, where the Gram matrix and the penalty are
    diagonal and both are scaled away; from the largest penalty on, each begins where the one
    before ended.

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
    z, energy = axes.scores, axes.values  # (r, n), (r,)
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
    inner, offset = z.new_zeros(len(energy), c), z.new_zeros(c)
    mean_curvature = 1 / c  # of equal probabilities: p (1 - p) C / (C - 1)
    for at in sorted(range(len(l2s)), key=lambda i: -l2s[i]):
        l2 = l2s[at] * (2 if c == 2 else 1)
        scale = (mean_curvature * energy + l2).rsqrt()[:, None]
        level = (mean_curvature * n) ** -0.5

        def logits_of(t, scale=scale, level=level):
            return ((scale * t[:-1]).mT.contiguous() @ z).mT + level * t[-1]

        def back(g, scale=scale, level=level):
            return torch.cat([scale * (z @ g), level * g.sum(0, keepdim=True)])

        penalty = torch.cat([l2 * scale.square(), scale.new_zeros(1, 1)])
        start = torch.cat([inner / scale, offset[None] / level])
        point, logits, met = minimise(logits_of, loss, curvature, back, penalty, start, tolerance)
        if not met:
            text = f"logistic regression at l2 = {l2s[at]:g} ended before its tolerance was met"
            warnings.warn(VitprobeWarning(text), stacklevel=2)
        inner, offset = scale * point[:-1], level * point[-1]
        chances = logits.softmax(1)
        mean_curvature = max((chances - chances.square()).mean().item() * c / (c - 1), 1e-6)
        found = axes.axes @ inner
        weights[at][:, there] = found
        bias[at][there] = offset - mean @ found
    return weights, bias
