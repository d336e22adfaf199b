"""What cannot be measured is refused in one line that says what to do."""

import numpy as np
import pytest
import torch

from vitprobe import similarity
from vitprobe.errors import InputError
from vitprobe.measures import chosen, chosen_list


@pytest.fixture
def pair():
    random = np.random.RandomState(0)
    return random.randn(12, 3), random.randn(12, 4)


def refused(*given, **options):
    with pytest.raises(InputError) as error:
        similarity(*given, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_words(pair):
    assert "did you mean 'procrustes'?" in refused(*pair, "procrustis")
    assert "cka, cka_biased" in refused(*pair, "zzz")
    assert "did you mean 'spearman'" in refused(*pair, "rsa", correlation="sperman")
    assert "did you mean 'correlation'?" in refused(*pair, "rsa", corelation="spearman")
    assert "rsa[:distance[:correlation]]" in refused(*pair, "rsa:euclidean:pearson:1")
    assert "given twice" in refused(*pair, "rsa:cosine", distance="cosine")
    assert "no measure" in refused(*pair, [])
    assert "none of cka, rsa has an option 'k'" in refused(*pair, ["cka", "rsa"], k=3)
    assert "named by a text" in refused(*pair, [3])
    for k in (0, -1, 2.5, "x", True, float("nan")):
        assert "a whole number of 1 or more for k" in refused(*pair, "mutual_knn", k=k)
    assert "a number above 0 for fraction" in refused(*pair, "cka_rbf:0")
    assert "a number of 0 or more for regularisation" in refused(*pair, "gulp:-1")


def test_arrays(pair):
    x, y = pair
    assert "x has 12 examples, y 11" in refused(x, y[1:])
    assert "give (examples, features)" in refused(x[0], y)
    assert "reshape(len(y), -1)" in refused(x, y[:, :, None])
    assert "y holds nothing" in refused(x, y[:, :0])
    assert "real numbers" in refused(x + 1j, y)
    assert "real numbers" in refused(x.astype(str), y)
    assert "real numbers" in refused(x, torch.zeros(12, 2, dtype=torch.complex64))
    for bad in (np.nan, np.inf, -np.inf):
        spoilt = x.copy()
        spoilt[7, 1] = bad
        assert "x holds NaN or infinity (first in example 7)" in refused(spoilt, y)


@pytest.mark.parametrize(
    "spec", ["cka", "cka_rbf", "rsa", "nbs", "procrustes", "gulp", "cca", "mutual_knn:3", "cknna:3"]
)
def test_constant_features(pair, spec):
    x, y = pair
    for still in (np.full_like(x, 3.1), np.float32([1e4 / 3]) * np.ones((12, 2), np.float32)):
        assert "x: constant activations" in refused(still, y, spec)
        assert "y: constant activations" in refused(x, still, spec)


def test_too_few(pair):
    x, y = pair
    assert "cka needs 4 examples or more, not 3" in refused(x[:3], y[:3])
    assert "mutual_knn needs 13 examples or more, not 12" in refused(x, y, "mutual_knn", k=12)
    assert "cknna:12 needs 13" in refused(x, y, "cknna:12")
    assert similarity(x, y, "mutual_knn", k=11) == 1
    wide = np.random.RandomState(1).randn(12, 11)
    for spec in ("cca", "pwcca", "svcca:11"):
        assert "11 independent features of 12 examples" in refused(wide, y, spec)
    assert 0 < similarity(wide, y, "svcca:2") < 1
    low = np.random.RandomState(1).randn(12, 2) @ np.random.RandomState(2).randn(2, 30)
    assert 0 < similarity(low, y, "cca") < 1, "30 features, of which two are independent"


def test_no_direction(pair):
    x, y = pair
    x[3] = 0
    assert "an example is zero" in refused(x, y, "mutual_knn:3")
    assert "an example is zero: it has no cosine distance" in refused(x, y, "rsa:cosine")
    flat = np.repeat(np.random.RandomState(0).randn(12, 1), 3, 1)
    assert "the same in all features" in refused(flat, y, "rsa:correlation")


def test_equal_distances():
    corners = np.eye(6)
    other = np.random.RandomState(0).randn(6, 2)
    assert "all distances are the same" in refused(corners, other, "rsa")
    half = np.array([[0.0]] * 8 + [[1.0]] * 2)
    assert "no median distance" in refused(half, half, "cka_rbf")


def test_several_of_one_name():
    found = chosen_list("rsa, rsa:cosine,rsa")
    assert [each.key for each in found] == ["rsa", "rsa_cosine"]
    assert found[1].options == {"distance": "cosine", "correlation": "pearson"}
    assert chosen("nbs:angle").distance and not chosen("nbs").distance
    assert chosen("gulp").distance
