"""Ridge in closed form: published numbers, scikit-learn's, and what is degenerate."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from vitprobe.errors import InputError
from vitprobe.probes import accuracy, plus_minus_one, ridge, ridge_from_sums
from vitprobe.probes.predictions import predictions


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.manual_seed(seed))


def test_digits(digits):
    """Accuracy and coefficient norm of scikit-learn's Ridge, alpha 1e-3, 1, 100."""
    x, y, test, wanted = digits
    weights, bias = ridge(x, plus_minus_one(y, 10), [1e-3, 1, 100])
    scores = torch.einsum("np,lpc->lnc", test, weights) + bias[:, None]
    right = (predictions(scores) == wanted).sum(1).tolist()
    assert right == [710, 711, 713]  # of 797: .890841, .892096, .894605
    norms = [3.716159780, 1.680805853, 0.359394633]
    assert weights.flatten(1).norm(dim=1).tolist() == pytest.approx(norms, abs=1e-9)


@pytest.mark.parametrize(("n", "p"), [(40, 7), (12, 30), (20, 20)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_scikit_learn(n, p, dtype):
    """Also in the dual form, and where means are large."""
    x, y = (random(n, p) + 50).to(dtype), random(n, 3, seed=1)
    weights, bias = ridge(x, y, [0.01, 10])
    assert weights.shape == (2, p, 3) and bias.shape == (2, 3) and weights.dtype == torch.float64
    for w, b, l2 in zip(weights, bias, [0.01, 10], strict=True):
        oracle = Ridge(alpha=l2, solver="svd").fit(x.double(), y)
        np.testing.assert_allclose(w.mT, oracle.coef_, atol=1e-9)
        np.testing.assert_allclose(b, oracle.intercept_, atol=1e-7)


def test_sums_are_enough():
    x, y = random(30, 6) + 3, random(30, 2, seed=1)
    mean_x, mean_y = x.mean(0), y.mean(0)
    gram, cross = (x - mean_x).mT @ (x - mean_x), (x - mean_x).mT @ (y - mean_y)
    found = ridge_from_sums(gram, cross, mean_x, mean_y, [0, 0.5])
    torch.testing.assert_close(found, ridge(x, y, [0, 0.5]), atol=1e-12, rtol=0)


@pytest.mark.parametrize("n", [50, 8])
def test_no_penalty_is_the_solution_of_least_norm(n):
    """With a constant feature, a copy and a sum of others; more features than examples."""
    base = random(n, 10)
    constant = torch.full((n, 1), 100.1, dtype=torch.float64)
    x = torch.cat([base, constant, base[:, :1], base[:, 1:2] + base[:, 2:3]], 1)
    y = random(n, 2, seed=1)
    weights, bias = (part[0] for part in ridge(x, y, [0.0]))
    centred = x - x.mean(0)
    centred[:, 10] = 0
    oracle = np.linalg.lstsq(centred.numpy(), (y - y.mean(0)).numpy(), rcond=1e-12)[0]
    np.testing.assert_allclose(weights, oracle, atol=1e-10)
    assert weights[10].tolist() == [0, 0]  # exactly
    torch.testing.assert_close(weights[0], weights[11], atol=1e-10, rtol=0)
    if n == 8:
        torch.testing.assert_close(x @ weights + bias, y, atol=1e-9, rtol=0)


def test_dependent_features_of_many_examples():
    """What is rounding grows with the examples; it is still told from what is not."""
    base = random(100_000, 2)
    x = torch.cat([base, base[:, :1] / 3 + base[:, 1:] / 7], 1)
    weights, _ = ridge(x, base[:, :1], [0.0])
    oracle = np.linalg.pinv(torch.cat([torch.eye(2), torch.tensor([[1 / 3], [1 / 7]])], 1).numpy())
    np.testing.assert_allclose(weights[0, :, 0], oracle[:, 0], atol=1e-7)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 30), st.integers(1, 20), st.integers(0, 999), st.sampled_from([0.1, 1, 100]))
def test_order_does_not_matter(n, p, seed, l2):
    x, y = random(n, p, seed=seed), random(n, 2, seed=seed + 1)
    order = torch.randperm(n, generator=torch.manual_seed(seed))
    torch.testing.assert_close(
        ridge(x, y, [l2]), ridge(x[order], y[order], [l2]), atol=1e-11, rtol=0
    )


def test_few_penalties_as_many():
    """Factorised one by one, or all of one eigendecomposition."""
    x, y = random(30, 12) + 3, random(30, 2, seed=1)
    l2s = [0.01, 0.1, 1, 10, 100, 1000]
    together = ridge(x, y, l2s)
    for at, l2 in enumerate(l2s):
        one = [part[0] for part in ridge(x, y, [l2])]
        torch.testing.assert_close(one, [part[at] for part in together], atol=1e-12, rtol=0)


def test_targets():
    found = plus_minus_one(torch.tensor([2, 0]), 3)
    assert found.tolist() == [[-1, -1, 1], [1, -1, -1]] and found.dtype == torch.float64


def test_wrong_input():
    with pytest.raises(InputError, match="labels of 3 classes are 0 to 2: there is 3"):
        plus_minus_one(torch.tensor([0, 3, 1]), 3)
    with pytest.raises(InputError, match=r"labels must be \(n,\) integers, not \(2,\) torch.float"):
        plus_minus_one(torch.tensor([0.0, 1.0]), 3)
    with pytest.raises(InputError, match="l2 is 0 or more, not -1"):
        ridge(random(5, 2), random(5, 1), [1, -1])


def test_equal_scores_go_to_the_lowest_class():
    third = 0.1 + 0.2
    scores = torch.tensor(
        [[0.3, third, 0.0], [-torch.inf, 1, 1 + 1e-8], [0, 0, 0]], dtype=torch.float64
    )
    assert third > 0.3
    assert predictions(scores).tolist() == [0, 2, 0]
    assert accuracy(scores, torch.tensor([0, 2, 1])) == pytest.approx(2 / 3)
