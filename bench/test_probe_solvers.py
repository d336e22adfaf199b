"""Solvers of probes beside scikit-learn's, on the same features."""

import numpy as np
import pytest
import torch
from interleave import interleave, quartiles
from sklearn.linear_model import LogisticRegression, Ridge

from vitprobe.probes import logistic, plus_minus_one, ridge, ridge_from_sums

CLASSES = 10
L2S = [10.0**power for power in range(-2, 7)]


def examples(n, p):
    """Standardised float64 features of unequal scales, in classes that overlap."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, n)
    means = 0.5 * random.normal(size=(CLASSES, p))
    x = random.normal(size=(n, p)) * np.exp(random.normal(size=p)) + means[labels]
    return torch.from_numpy((x - x.mean(0)) / x.std(0)), torch.from_numpy(labels)


@pytest.mark.parametrize(("n", "p"), [(10_000, 512), (10_000, 1024), (2_500, 2048)])
def test_ridge_of_nine_penalties(compared, rounds, n, p):
    x, labels = examples(n, p)
    y = plus_minus_one(labels, CLASSES)
    mean_x, mean_y = x.mean(0), y.mean(0)
    gram, cross = (x - mean_x).mT @ (x - mean_x), (x - mean_x).mT @ (y - mean_y)

    def ours():
        return ridge(x, y, L2S)[0]

    def from_sums():
        return ridge_from_sums(gram, cross, mean_x, mean_y, L2S)[0]

    def theirs():
        return [Ridge(alpha=l2).fit(x.numpy(), y.numpy()).coef_ for l2 in L2S]

    for a, b, c in zip(ours(), from_sums(), theirs(), strict=True):
        np.testing.assert_allclose(a, c.T, atol=1e-9)
        np.testing.assert_allclose(b, c.T, atol=1e-9)
    ways = {"scikit-learn": theirs, "vitprobe": ours, "from sums": from_sums}
    seconds = interleave(ways, rounds(3), warm_up=0)
    compared(
        table="Time: ridge of nine penalties, float64",
        name=f"{n:,} examples, {p} features, {CLASSES} classes",
        unit="s",
        rounds=len(seconds["vitprobe"]),
        values={name: quartiles(spans) for name, spans in seconds.items()},
        ratio_of="vitprobe / scikit-learn",
        ratio=quartiles(_ratios(seconds)),
        target="<= 0.5",
    )


@pytest.mark.parametrize("scaled", [True, False], ids=["standardised", "unequal scales"])
def test_logistic_regression(compared, rounds, scaled):
    """Three penalties; both end with weights that are right to about 1e-5."""
    n = 10_000 if scaled else 1_000
    x, labels = examples(n, 512)
    if not scaled:
        x = x * torch.logspace(-1, 1, 512, dtype=torch.float64)
    l2s, found = [n, n / 10, n / 100], {}

    def ours():
        found["ours"] = logistic(x, labels, CLASSES, l2s, tolerance=1e-5)[0]

    def theirs():
        fits = [LogisticRegression(C=1 / l2, tol=1e-7, max_iter=10_000) for l2 in l2s]
        found["theirs"] = [fit.fit(x.numpy(), labels.numpy()).coef_ for fit in fits]

    seconds = interleave({"scikit-learn": theirs, "vitprobe": ours}, rounds(2), warm_up=0)
    for a, b in zip(found["ours"], found["theirs"], strict=True):
        assert a.norm().item() == pytest.approx(np.linalg.norm(b), rel=1e-4)
    compared(
        table="Time: multinomial logistic regression, three penalties, float64",
        name=f"{n:,} examples, 512 features, {'standardised' if scaled else 'unequal scales'}",
        unit="s",
        rounds=len(seconds["vitprobe"]),
        values={name: quartiles(spans) for name, spans in seconds.items()},
        ratio_of="vitprobe / scikit-learn",
        ratio=quartiles(_ratios(seconds)),
        target="<= 1",
    )


def _ratios(seconds):
    pairs = zip(seconds["vitprobe"], seconds["scikit-learn"], strict=True)
    return [ours / theirs for ours, theirs in pairs]
