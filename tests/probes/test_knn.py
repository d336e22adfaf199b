"""Weighted nearest neighbours: DINO's votes, ties, degenerate vectors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe.errors import InputError
from vitprobe.probes import accuracy, knn_scores, predictions


def by_hand(train, labels, test, classes, k, temperature):
    """Example by example, NumPy."""
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (train, test)]
    found = []
    for row in unit[1]:
        cosine = unit[0] @ row
        votes = np.zeros(classes)
        for at in np.argsort(-cosine)[:k]:
            votes[labels[at]] += np.exp(cosine[at] / temperature)
        found.append(votes / votes.sum())
    return np.stack(found)


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_votes_by_hand(k, temperature, monkeypatch):
    random = np.random.default_rng(0)
    train, test = random.normal(size=(40, 6)), random.normal(size=(9, 6))
    labels = random.integers(0, 4, 40)
    wanted = by_hand(train, labels, test, 4, k, temperature)
    tensors = [torch.from_numpy(part) for part in (train, labels, test)]
    np.testing.assert_allclose(knn_scores(*tensors, 4, k, temperature), wanted, atol=1e-12)
    monkeypatch.setitem(knn_scores.__globals__, "_CHUNK", 80)  # two test examples at once
    np.testing.assert_allclose(knn_scores(*tensors, 4, k, temperature), wanted, atol=1e-12)


def test_digits(digits):
    """As scikit-learn's KNeighborsClassifier with the same weights."""
    from sklearn.neighbors import KNeighborsClassifier

    x, y, test, wanted = digits
    oracle = KNeighborsClassifier(
        20, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / 0.07)
    ).fit(x, y)
    scores = knn_scores(x, y, test, 10)
    np.testing.assert_allclose(scores, oracle.predict_proba(test), atol=1e-10)
    assert accuracy(scores, wanted) == pytest.approx(762 / 797)


def test_equally_near_share_the_last_places():
    """Four copies at the k-th place, of three classes, for the two places left."""
    copy = [0.6, 0.8]
    train = torch.tensor([[1.0, 0.0], copy, copy, copy, copy, [-1.0, 0.0]]).double()
    labels = torch.tensor([0, 1, 1, 2, 0, 2])
    test = torch.tensor([[2.0, 0.0]])
    scores = knn_scores(train, labels, test, 3, 3, 1.0)
    far = np.exp(0.6 - 1) / 2
    wanted = np.array([1 + far, 2 * far, far]) / (1 + 4 * far)
    np.testing.assert_allclose(scores[0], wanted)


def test_a_zero_vector_is_equally_near_to_all():
    train = torch.randn(8, 3, generator=torch.manual_seed(0))
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2])
    scores = knn_scores(train, labels, torch.zeros(1, 3), 4, 2)
    assert scores[0].tolist() == pytest.approx([5 / 8, 2 / 8, 1 / 8, 0])


def test_a_small_temperature_does_not_overflow():
    train = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    scores = knn_scores(train, torch.tensor([1, 0]), torch.tensor([[1.0, 0.5]]), 2, 2, 1e-4)
    assert scores.tolist() == [[0, 1]]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 25), st.integers(1, 25), st.integers(0, 999))
def test_order_does_not_matter(n, k, seed):
    """Coordinates of -1, 0, 1: many are equally near, and votes are equal."""
    generator = torch.manual_seed(seed)
    train, test = (torch.randint(-1, 2, (m, 3), generator=generator).double() for m in (n, 6))
    labels = torch.randint(0, 3, (n,), generator=generator)
    order = torch.randperm(n, generator=generator)
    first = knn_scores(train, labels, test, 3, min(k, n))
    second = knn_scores(train[order], labels[order], test, 3, min(k, n))
    torch.testing.assert_close(first, second, atol=1e-12, rtol=0)
    assert predictions(first).equal(predictions(second))


def test_wrong_input():
    x, labels = torch.ones(4, 2), torch.tensor([0, 1, 0, 1])
    with pytest.raises(InputError, match="k=5: neighbours are 1 to 4 training examples"):
        knn_scores(x, labels, x, 2, 5)
    with pytest.raises(InputError, match="temperature is above 0, not 0"):
        knn_scores(x, labels, x, 2, 2, 0)
    with pytest.raises(InputError, match="labels of 1 classes are 0 to 0: there is 1"):
        knn_scores(x, labels, x, 1, 2)
