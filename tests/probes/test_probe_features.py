"""`vitprobe.probe_features`: published numbers, the choice of l2, and what cannot be probed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

import vitprobe
from vitprobe.errors import InputError
from vitprobe.probes import knn_scores, ridge
from vitprobe.probes.choose import best, held_out, l2_candidates


@pytest.fixture(scope="module")
def pixels(digits):
    return [part.numpy() for part in digits]


def test_ridge(pixels):
    found = vitprobe.probe_features(*pixels, l2=1)
    assert found.accuracy == pytest.approx(0.892096, abs=1e-6)
    assert found.norm == pytest.approx(1.680805853, abs=1e-9)
    assert found.accuracy_se == pytest.approx((0.892095 * 0.107905 / 796) ** 0.5, abs=1e-6)
    assert found.l2 == 1 and found.held_out == {} and found.log_loss is None
    assert found.accuracies.tolist() == [found.accuracy]
    x, y, test, wanted = pixels
    assert (found.predictions == wanted).mean() == found.accuracy
    np.testing.assert_allclose(found.scores, test @ found.weights + found.bias, atol=1e-10)
    assert "accuracy=0.892" in repr(found) and len(repr(found)) < 200


def test_logistic(pixels):
    x, y, test, wanted = pixels
    found = vitprobe.probe_features(
        x / 16, y, test / 16, wanted, solver="logistic", l2=100, standardise=False
    )
    assert found.accuracy == pytest.approx(0.883312, abs=1e-6)
    assert found.log_loss == pytest.approx(1.29930838, abs=1e-7)
    assert found.norm == pytest.approx(2.859142, abs=1e-6)


def test_logistic_standardises(pixels):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y, test, wanted = pixels
    found = vitprobe.probe_features(x, y, test, wanted, solver="logistic", l2=10)
    newton = LogisticRegression(C=0.1, tol=1e-10, solver="newton-cholesky")
    oracle = make_pipeline(StandardScaler(), newton).fit(x, y)
    assert found.accuracy == pytest.approx(oracle.score(test, wanted), abs=1e-12)
    assert found.norm == pytest.approx(np.linalg.norm(newton.coef_), abs=1e-6)
    scores = test @ found.weights + found.bias  # of raw features
    chances = torch.from_numpy(scores).softmax(1)
    np.testing.assert_allclose(chances, oracle.predict_proba(test), atol=1e-6)


def test_big_vision(pixels):
    found = vitprobe.probe_features(*pixels, shots=10, draws=3, convention="big_vision")
    wanted = [0.791719, 0.770389, 0.805521]
    assert found.accuracies.tolist() == pytest.approx(wanted, abs=1e-6)
    assert found.accuracy == pytest.approx(np.mean(wanted), abs=1e-6)
    assert found.accuracy_se == pytest.approx(np.std(wanted, ddof=1) / 3**0.5, abs=1e-6)
    assert found.l2 == 1024 and found.predictions.shape == (3, 797)
    small = vitprobe.probe_features(*pixels, shots=5, draws=3, convention="big_vision", l2=2**-10)
    wanted = [0.398996, 0.304893, 0.509410]
    assert small.accuracies.tolist() == pytest.approx(wanted, abs=1e-6)


def test_knn(pixels):
    found = vitprobe.probe_features(*pixels, solver="knn", k=5, temperature=1)
    scores = knn_scores(*map(torch.from_numpy, pixels[:3]), 10, 5, 1)
    np.testing.assert_array_equal(found.scores, scores)
    assert found.accuracy == pytest.approx(764 / 797)  # KNeighborsClassifier's
    assert (found.l2, found.norm, found.weights, found.log_loss) == (None,) * 4


def test_l2_is_chosen_on_held_out_training_examples(pixels):
    """And not on the test examples; then all training examples are learnt from."""
    x, y, test, wanted = pixels
    found = vitprobe.probe_features(*pixels)
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    out = held_out(*tensors, 0.2, 0).numpy()
    centred = x - x.mean(0)
    assert list(found.held_out) == l2_candidates((centred**2).sum() / 64, range(-6, 3))
    for l2, share in found.held_out.items():
        apart = vitprobe.probe_features(x[~out], y[~out], x[out], y[out], l2=l2)
        assert apart.accuracy == pytest.approx(share, abs=1e-12)
    assert found.l2 == best(found.held_out) == max(found.held_out, key=found.held_out.get)
    again = vitprobe.probe_features(*pixels, l2=found.l2)
    np.testing.assert_array_equal(again.weights, found.weights)
    nonsense = vitprobe.probe_features(x, y, test, (wanted + 1) % 10)
    assert nonsense.l2 == found.l2
    two = vitprobe.probe_features(*pixels, l2=[1e9, 1])
    assert two.l2 == 1 and list(two.held_out) == [1, 1e9]


def test_held_out_examples():
    labels = torch.tensor([0] * 10 + [1] * 4 + [2])
    x = torch.randn(15, 3, generator=torch.manual_seed(0))
    out = held_out(x, labels, 0.3, 0)
    assert [int(out[labels == c].sum()) for c in range(3)] == [3, 1, 0]
    order = torch.randperm(15, generator=torch.manual_seed(1))
    assert held_out(x[order], labels[order], 0.3, 0).equal(out[order])
    assert not held_out(x, labels, 0.3, 1).equal(out)
    assert best({1.0: 0.5, 10.0: 0.7, 100.0: 0.7, 1000.0: 0.6}) == 100


def test_l2_of_a_few_shots_is_chosen_on_the_others(pixels):
    x, y, test, wanted = pixels
    found = vitprobe.probe_features(*pixels, shots=5, draws=2, l2=[1e2, 1e4])
    shares = []
    for draw in range(2):
        one = vitprobe.probe_features(*pixels, shots=5, draws=1, seed=draw, l2=1e4)
        assert (
            one.accuracies[0]
            == vitprobe.probe_features(*pixels, shots=5, draws=2, l2=1e4).accuracies[draw]
        )
        assert np.isnan(one.accuracy_se)
        rows = vitprobe.probes.shots_of(torch.from_numpy(y), 5, draw).numpy()
        left = np.setdiff1d(np.arange(1000), rows)
        apart = vitprobe.probe_features(x[rows], y[rows], x[left], y[left], l2=1e4)
        shares.append(apart.accuracy)
    assert found.held_out[1e4] == pytest.approx(np.mean(shares), abs=1e-12)


def test_scale_does_not_matter_where_l2_is_chosen(pixels):
    """What is tried goes with the features' energy, and so do the numbers that come of it."""
    x, y, test, wanted = (part[:200] for part in pixels)
    for solver, power in (("ridge", 2), ("logistic", 0)):
        l2s = list(vitprobe.probe_features(x, y, test, wanted, solver=solver).held_out)
        more = vitprobe.probe_features(x * 256, y, test, wanted, solver=solver).held_out
        assert list(more) == pytest.approx([l2 * 256**power for l2 in l2s])
        small = vitprobe.probe_features(x, y, test, wanted, solver=solver, l2=l2s[3])
        large = vitprobe.probe_features(
            x * 256, y, test * 256, wanted, solver=solver, l2=list(more)[3]
        )
        np.testing.assert_allclose(small.scores, large.scores, atol=1e-9)


def test_names_gaps_types_and_shapes(pixels):
    """Classes are whatever labels there are; images are flattened; torch and NumPy."""
    x, y, test, wanted = (part[:300] for part in pixels)
    number = vitprobe.probe_features(x, y, test, wanted, l2=1)
    names = np.array([f"digit {c}" for c in range(10)])
    images = torch.from_numpy(x).float().view(-1, 8, 8)
    for classes in (np.arange(10) * 7 - 3, names, torch.arange(10, dtype=torch.int16)):
        found = vitprobe.probe_features(
            images, classes[y], test.astype(np.uint8), classes[wanted], l2=1
        )
        np.testing.assert_allclose(found.scores, number.scores, atol=1e-10)
        np.testing.assert_array_equal(found.predictions, classes[number.predictions])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 999), st.sampled_from(["ridge", "logistic", "knn"]))
def test_order_does_not_matter(seed, solver):
    """Also where l2 is chosen: another order holds out the same examples."""
    random = np.random.default_rng(seed)
    rows = random.permutation(1797)
    x, y = (part[rows] for part in load_digits(return_X_y=True))
    x, y, test, wanted = x[:80], y[:80], x[80:130], y[80:130]
    x, y = np.concatenate([x, x[:5]]), np.concatenate([y, y[5:10]])  # equal features, other labels
    there = np.isin(wanted, y)
    order, tests = random.permutation(85), random.permutation(there.sum())
    options = {"solver": solver, "k": 6, "l2": [10.0, 100.0] if solver == "logistic" else None}
    first = vitprobe.probe_features(x, y, test[there], wanted[there], **options)
    second = vitprobe.probe_features(
        x[order], y[order], test[there][tests], wanted[there][tests], **options
    )
    assert solver == "knn" or first.l2 == pytest.approx(second.l2, rel=1e-12)
    np.testing.assert_allclose(first.scores[tests], second.scores, atol=1e-5)
    assert first.accuracy == second.accuracy


WRONG = {
    "a probe needs labels: y_train is None": {"y_train": None},
    r"y_train must be \(n,\) integers or names, not \(6,\) float64": {"y_train": np.ones(6)},
    r"y_train must be \(n,\) integers or names, not \(6, 1\)": {"y_train": np.ones((6, 1), int)},
    "y_test has 5 labels for 4 rows of features": {"y_test": [0, 1, 2, 0, 1]},
    r"y_train has one class only \(1\): .* give two or more": {"y_train": np.ones(6, int)},
    "y_test has class 9, of which there is no training example": {"y_test": [0, 1, 9, 2]},
    "x_train has 3 features and x_test 2": {"x_test": np.ones((4, 2))},
    r"x_train must be real numbers \(n, features\) with n > 0, not \(6,\)": {"x_train": range(6)},
    r"x_test must be real numbers \(n, features\) with n > 0, not \(0, 3\)": {
        "x_test": np.ones((0, 3))
    },
    "x_train must be an array of numbers": {"x_train": [["a", "b"]] * 6},
    r"x_test is not finite in 1 of 4 rows \(first: NaN in row 2, feature 0\): leave them out": {
        "x_test": [[1.0, 2, 3], [1, 2, 3], [np.nan, 2, 3], [1, 2, 3]]
    },
    r"first: an infinity in row 0, feature 1": {"x_train": [[0, np.inf, 0]] * 6},
    "unknown solver 'ridges': there is ridge, logistic, knn; did you mean 'ridge'": {
        "solver": "ridges"
    },
    "unknown convention 'bigvision': there is big_vision; did you mean 'big_vision'": {
        "convention": "bigvision"
    },
    "convention='big_vision' is a ridge probe of a few shots": {"convention": "big_vision"},
    "shots=3: class 0 has 2 training examples; take fewer shots": {"shots": 3},
    "shots=2 takes all training examples, so that none is left to choose l2: give it": {"shots": 2},
    "k=20: neighbours are 1 to 6 training examples": {"solver": "knn"},
    "l2 is 0 or more, not -1": {"l2": -1},
    "l2 of logistic regression is above 0, not 0": {"l2": 0, "solver": "logistic"},
    "no class has two training examples, .* to choose l2: give it": {"y_train": list(range(6))},
    "fraction is between 0 and 1, draws are 1 or more, seed is 0 or more": {"seed": -1},
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_input(message):
    x = np.arange(18.0).reshape(6, 3) ** 2
    good = {"x_train": x, "y_train": [0, 1, 2] * 2, "x_test": x[:4], "y_test": [0, 1, 2, 0]}
    vitprobe.probe_features(**good)
    with pytest.raises(InputError, match=message) as caught:
        vitprobe.probe_features(**good | WRONG[message])
    assert "\n" not in str(caught.value)


def test_nothing_to_learn_from():
    """Constant features: everything is the class that most examples have."""
    x, labels = np.ones((10, 3)), [0, 0, 0, 0, 0, 0, 1, 1, 1, 2]
    for options in ({}, {"solver": "logistic"}, {"solver": "knn", "k": 4}, {"l2": 0}):
        found = vitprobe.probe_features(x, labels, x[:4], [0, 1, 2, 0], **options)
        assert found.predictions.tolist() == [0] * 4 and found.accuracy == 0.5
    weights, bias = ridge(torch.ones(4, 2), torch.tensor([[1.0], [1], [1], [-1]]), [0, 1])
    assert (weights == 0).all() and bias.flatten().tolist() == [0.5, 0.5]
