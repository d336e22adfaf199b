"""Multinomial logistic regression with an L2 penalty."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vitprobe.ops.wide import wide


def logistic(
    x: Tensor, labels: Tensor, classes: int, l2s: Sequence[float], tolerance: float = 1e-8
) -> tuple[Tensor, Tensor]:
    """Weights and bias that minimise the sum of the log-losses + l2 / 2 |W|^2.

    The numbers of scikit-learn's `LogisticRegression(C=1 / l2)`; the bias is not penalised. A
    class without an example gets a bias of -inf.

    Args:
        x: (n, p) features.
        labels: (n,) integers from 0 to classes - 1; at least two classes.
        classes: their number.
        l2s: penalties above 0; 1 / C.
        tolerance: largest gradient at the end.

    Returns: weights (len(l2s), p, classes) and bias (len(l2s), classes), float64.
    """
    from sklearn.linear_model import LogisticRegression

    x = wide(x)
    weights = x.new_zeros(len(l2s), x.shape[1], classes)
    bias = x.new_full((len(l2s), classes), -math.inf)
    features, targets = x.cpu().numpy(), np.asarray(labels.cpu())
    for at, l2 in enumerate(l2s):
        fitted = LogisticRegression(C=1 / l2, tol=tolerance, max_iter=10_000)
        fitted.fit(features, targets)
        coefficients, intercept = fitted.coef_, fitted.intercept_
        if len(fitted.classes_) == 2:
            coefficients = np.concatenate([-coefficients, coefficients]) / 2
            intercept = np.concatenate([-intercept, intercept]) / 2
        there = torch.from_numpy(fitted.classes_).long()
        weights[at][:, there] = torch.from_numpy(coefficients.T).to(weights)
        bias[at][there] = torch.from_numpy(intercept).to(bias)
    return weights, bias
