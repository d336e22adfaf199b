"""The error bars mean what they say: intervals from Student's t cover the population's CKA."""

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from vitprobe.metrics import CKA

SIMULATIONS, BATCH, FEATURES = 1000, 128, 6


def covariances():
    """Two layers that are linear maps of one source, and what the population's CKA then is.

    HSIC of linear kernels is ||cov(X, Y)||_F^2, so CKA needs no simulation.
    """
    random = np.random.RandomState(0)
    a, b = random.randn(2, FEATURES, FEATURES)
    a *= np.linspace(0.3, 1.5, FEATURES)
    squared = lambda m: (m**2).sum()  # noqa: E731
    cka = squared(a.T @ b) / np.sqrt(squared(a.T @ a) * squared(b.T @ b))
    return torch.from_numpy(a).float(), torch.from_numpy(b).float(), cka


@pytest.mark.slow
@pytest.mark.parametrize("tails", ["gaussian", "heavy"])
@pytest.mark.parametrize("batches", [4, 10, 40])
def test_coverage(batches, tails):
    a, b, truth = covariances()
    generator = torch.Generator().manual_seed(batches)
    covered = 0
    for _ in range(SIMULATIONS):
        source = torch.randn(batches, BATCH, FEATURES, generator=generator)
        if tails == "heavy":  # multivariate t with 5 degrees of freedom, scaled to covariance 1
            chi = torch.randn(batches, BATCH, 5, generator=generator).square().sum(-1, keepdim=True)
            source = source * (3 / chi).sqrt()
        metric = CKA(1, 1)
        for x in source:
            metric.update([x @ a], [x @ b])
        result = metric.compute()
        half_width = student.ppf(0.975, result.df) * result.se.item()
        covered += abs(result.cka.item() - truth) <= half_width
    assert 0.92 <= covered / SIMULATIONS <= 0.97
