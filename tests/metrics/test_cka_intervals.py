"""The error bars mean what they say: intervals from Student's t cover the population's CKA."""

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from vitprobe.metrics import CKA

SIMULATIONS, AT_ONCE, BATCH, FEATURES = 1000, 25, 128, 6


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


@pytest.mark.parametrize("tails", ["gaussian", "heavy"])
@pytest.mark.parametrize("batches", [4, 10, 40])
def test_coverage(batches, tails):
    """Of the diagonal's pairs, each of a source of its own: so many simulations at once."""
    a, b, truth = covariances()
    generator = torch.Generator().manual_seed(batches)
    covered = 0
    for _ in range(SIMULATIONS // AT_ONCE):
        metric = CKA(AT_ONCE, AT_ONCE)
        for _ in range(batches):
            source = torch.randn(AT_ONCE, BATCH, FEATURES, generator=generator)
            if tails == "heavy":  # multivariate t, 5 degrees of freedom, scaled to covariance 1
                normal = torch.randn(AT_ONCE, BATCH, 5, generator=generator)
                source = source * (3 / normal.square().sum(-1, keepdim=True)).sqrt()
            metric.update(list(source @ a), list(source @ b))
        result = metric.compute()
        half_widths = student.ppf(0.975, result.df) * result.se.diagonal()
        covered += ((result.cka.diagonal() - truth).abs() <= half_widths).sum().item()
    assert 0.92 <= covered / SIMULATIONS <= 0.97
