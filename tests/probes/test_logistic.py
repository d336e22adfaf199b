"""Multinomial logistic regression gives scikit-learn's numbers."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import cross_entropy

from vitprobe.errors import InputError, VitprobeWarning
from vitprobe.probes import accuracy, logistic, standard


def test_digits(digits):
    """x / 16, C = 1 and .01: accuracy, log-loss and norm of FIELD."""
    x, y, test, wanted = digits
    weights, bias = logistic(x / 16, y, 10, [1, 100])
    scores = [test / 16 @ w + b for w, b in zip(weights, bias, strict=True)]
    right = [round(accuracy(score, wanted) * 797) for score in scores]
    assert right == [743, 704]  # .932246, .883312
    # The last digits of the first one are those of a solver that ended at its tolerance.
    losses = [cross_entropy(score, wanted).item() for score in scores]
    assert losses == pytest.approx([0.28338801, 1.29930838], abs=3e-7)
    assert losses == pytest.approx([0.283387813, 1.299308385], abs=2e-8)  # newton-cholesky, 1e-8
    norms = weights.flatten(1).norm(dim=1).tolist()
    assert norms == pytest.approx([15.519235, 2.859142], abs=2e-6)


def classes_of(n, p, c, seed=0):
    generator = torch.manual_seed(seed)
    labels = torch.arange(n) % c
    means = torch.randn(c, p, generator=generator, dtype=torch.float64)
    return torch.randn(n, p, generator=generator, dtype=torch.float64) + means[labels], labels


@pytest.mark.parametrize(("n", "p", "c"), [(90, 6, 3), (30, 50, 3), (40, 5, 2)])
def test_scikit_learn(n, p, c):
    """More features than examples too, two classes, and features that are not standardised."""
    x, labels = classes_of(n, p, c)
    x = x * torch.logspace(0, 1, p) + 5
    weights, bias = logistic(x, labels, c, [1e-1, 10], tolerance=1e-9)
    for w, b, l2 in zip(weights, bias, [1e-1, 10], strict=True):
        oracle = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000, solver="newton-cholesky")
        oracle.fit(x, labels)
        chances = (x @ w + b).softmax(1)
        np.testing.assert_allclose(chances, oracle.predict_proba(x), atol=1e-6)
        if c > 2:
            np.testing.assert_allclose(w.mT, oracle.coef_, atol=1e-6)
        else:
            np.testing.assert_allclose(w[:, 1] - w[:, 0], oracle.coef_[0], atol=1e-6)


def test_a_class_without_examples_is_never_predicted():
    x, labels = classes_of(60, 4, 3)
    spread = torch.tensor([0, 3, 4])[labels]
    weights, bias = logistic(x, spread, 6, [1.0])
    fewer = logistic(x, labels, 3, [1.0])
    torch.testing.assert_close((weights[..., [0, 3, 4]], bias[:, [0, 3, 4]]), fewer)
    assert (weights[..., [1, 2, 5]] == 0).all() and (bias[:, [1, 2, 5]] == -torch.inf).all()


def test_features_that_say_nothing():
    """Constant ones have no weight, copies share theirs."""
    x, labels = classes_of(60, 4, 3)
    more = torch.cat([x, x[:, :1], torch.full((60, 1), 100.1)], 1)
    (weights,), _ = logistic(more, labels, 3, [1.0], tolerance=1e-9)
    torch.testing.assert_close(weights[0], weights[4], atol=1e-8, rtol=0)
    assert weights[5].abs().max() < 1e-12
    labels = torch.tensor([0, 0, 0, 1])
    (none,), (bias,) = logistic(torch.ones(4, 2), labels, 2, [1.0], tolerance=1e-9)
    assert (none == 0).all()
    assert bias.softmax(0).tolist() == pytest.approx([3 / 4, 1 / 4])


def test_path_of_penalties():
    """Of each penalty what it is alone, in the order in which they were given."""
    x, labels = classes_of(60, 4, 3)
    together = logistic(x, labels, 3, [0.1, 10, 1], tolerance=1e-9)
    for at, l2 in enumerate([0.1, 10, 1]):
        alone = logistic(x, labels, 3, [l2], tolerance=1e-9)
        torch.testing.assert_close([part[at] for part in together], [part[0] for part in alone])


@settings(max_examples=10, deadline=None)
@given(st.integers(4, 40), st.integers(1, 10), st.integers(0, 999))
def test_order_does_not_matter(n, p, seed):
    x, labels = classes_of(n, p, 2 + seed % 3, seed)
    order = torch.randperm(n, generator=torch.manual_seed(seed))
    first = logistic(x, labels, 4, [1.0], tolerance=1e-10)
    second = logistic(x[order], labels[order], 4, [1.0], tolerance=1e-10)
    torch.testing.assert_close(first, second, atol=1e-8, rtol=0)


def test_the_minimum_where_solvers_stop_early(digits):
    """Raw pixels, C = 1: scikit-learn's L-BFGS takes thousands of steps, Newton's method 11."""
    x, y = digits[0][:300], digits[1][:300]
    oracle = LogisticRegression(C=1, tol=1e-10, solver="newton-cholesky").fit(x, y)
    (weights,), (bias,) = logistic(x, y, 10, [1.0])

    def loss(weights, bias):
        return cross_entropy(x @ weights + bias, y, reduction="sum") + weights.square().sum() / 2

    wanted = loss(torch.from_numpy(oracle.coef_.T), torch.from_numpy(oracle.intercept_)).item()
    assert loss(weights, bias).item() == pytest.approx(wanted, abs=1e-7)
    assert weights.norm().item() == pytest.approx(np.linalg.norm(oracle.coef_), abs=1e-5)


def test_said_where_it_did_not_end(monkeypatch):
    inside = sys.modules["vitprobe.probes.logistic"]
    whole = inside.minimise
    monkeypatch.setattr(inside, "minimise", lambda *given: whole(*given, limit=2))
    x, labels = classes_of(60, 4, 3)
    with pytest.warns(VitprobeWarning, match="at l2 = 0.01 ended before its tolerance was met"):
        logistic(x, labels, 3, [0.01])


def test_standard_as_scikit_learn():
    from sklearn.preprocessing import StandardScaler

    x = torch.cat([classes_of(50, 4, 2)[0] * 3 + 7, torch.full((50, 1), 100.1)], 1).double()
    scaling = standard(x)
    np.testing.assert_allclose(scaling.of(x), StandardScaler().fit_transform(x), atol=1e-12)
    weights, bias = torch.randn(2, 5, 3).double(), torch.randn(2, 3).double()
    raw, offset = scaling.for_raw(weights, bias)
    torch.testing.assert_close(x @ raw[1] + offset[1], scaling.of(x) @ weights[1] + bias[1])


def test_wrong_input():
    x, labels = classes_of(6, 2, 3)
    with pytest.raises(InputError, match="the training examples are all of class 1; give two"):
        logistic(x, torch.ones(6, dtype=torch.int64), 3, [1.0])
    with pytest.raises(InputError, match="labels of 2 classes are 0 to 1: there is 2"):
        logistic(x, labels, 2, [1.0])
    with pytest.raises(InputError, match="l2 of logistic regression is above 0, not 0"):
        logistic(x, labels, 3, [1.0, 0.0])
