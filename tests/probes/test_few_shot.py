"""A few images a class: big_vision's draws and numbers."""

import pytest
import torch

from vitprobe.errors import InputError
from vitprobe.probes import accuracy, big_vision, shots_of

FIELD = [
    (1, 2**10, [0.567127, 0.529486, 0.579674]),
    (5, 2**10, [0.717691, 0.762861, 0.739021]),
    (10, 2**10, [0.791719, 0.770389, 0.805521]),
    (25, 2**10, [0.843162, 0.841907, 0.856964]),
    (10, 1, [0.762861, 0.756587, 0.780427]),
    (5, 2**-10, [0.398996, 0.304893, 0.509410]),  # double descent: where solvers differ
]


@pytest.mark.parametrize(("shots", "l2", "wanted"), FIELD)
def test_big_vision(digits, shots, l2, wanted):
    x, y, test, labels = digits
    for seed, value in enumerate(wanted):
        scores = big_vision(x, y, test, shots, seed, l2)
        assert accuracy(scores, labels) == pytest.approx(value, abs=1e-6)


def test_weights_are_those_of_the_formula(digits):
    """Standardised, with a constant feature 100, solved as it is written: dual and primal."""
    x, y, test, _ = digits
    for shots in (3, 20):
        drawn = shots_of(y, shots, 4)
        few, labels = x[drawn], y[drawn]
        mean, scale = few.mean(0), few.std(0, correction=0) + 1e-5
        a, b = (
            torch.cat([(z - mean) / scale, torch.full((len(z), 1), 100.0).double()], 1)
            for z in (few, test)
        )
        targets = 2 * torch.eye(10).double()[labels] - 1
        weights = torch.linalg.solve(a.mT @ a + 8 * torch.eye(65).double(), a.mT @ targets)
        found = big_vision(x, y, test, shots, 4, 8)
        torch.testing.assert_close(found, b @ weights, atol=1e-6, rtol=0)


def test_draws():
    """Of NumPy's generator, class after class; another seed, another draw."""
    labels = torch.tensor([1, 0, 1, 0, 1, 0, 1, 0])
    assert shots_of(labels, 2, 0).tolist() == [5, 1, 6, 4]
    assert shots_of(labels, 2, 1).tolist() != [5, 1, 6, 4]
    assert sorted(shots_of(labels, 4, 1).tolist()) == list(range(8))
    assert labels[shots_of(labels + 5, 2, 3)].tolist() == [0, 0, 1, 1]


def test_wrong_input():
    labels = torch.tensor([0, 0, 3])
    with pytest.raises(InputError, match="shots=2: class 3 has 1 training example; take fewer"):
        shots_of(labels, 2, 0)
    with pytest.raises(InputError, match="shots is 1 or more, not 0"):
        shots_of(labels, 0, 0)
    with pytest.raises(InputError, match="labels of 3 classes are 0 to 2: there is 3"):
        big_vision(torch.ones(3, 2), labels, torch.ones(3, 2), 1, 0, classes=3)
