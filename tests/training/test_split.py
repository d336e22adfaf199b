"""split_rows: shares of every class, nested fractions, the same validation rows for all."""

import numpy as np
import pytest
import torch

from vitprobe.errors import InputError
from vitprobe.training.split import split_rows

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 4], [100, 45, 10, 2]))


def split(**changes):
    return split_rows(LABELS, **{"validation": 0.1, "fraction": 1.0, "seed": 0, **changes})


def test_every_class_gives_its_share():
    train, validation = split()
    # 45 gives 4.5, rounded half up; 2 gives 0.2, but at least one
    assert np.bincount(LABELS[validation]).tolist() == [10, 5, 1, 0, 1]
    assert train.dtype == validation.dtype == torch.int64
    assert torch.equal(train, train.sort().values)
    both = torch.cat([train, validation]).sort().values
    assert torch.equal(both, torch.arange(len(LABELS)))


def test_fractions_are_balanced_and_nested():
    _, validation = split()
    before = set()
    for fraction, counts in ((0.5, [45, 20, 5, 0, 1]), (0.7, [63, 28, 6, 0, 1]), (1.0, None)):
        train, same = split(fraction=fraction)
        assert torch.equal(same, validation)
        assert before < set(train.tolist())
        before = set(train.tolist())
        assert counts is None or np.bincount(LABELS[train]).tolist() == counts
    assert not before & set(validation.tolist())


def test_shares_are_rounded_half_up_in_decimals():
    labels = np.zeros(50, np.int64)  # 0.29 * 50 is 14.499999999999998 in floats
    assert len(split_rows(labels, validation=0.29, fraction=1, seed=0)[1]) == 15


def test_the_seed_decides():
    first, again, other = split(), split(), split(seed=1)
    assert torch.equal(first[1], again[1]) and not torch.equal(first[1], other[1])
    assert not torch.equal(first[1], torch.arange(len(first[1]))), "not the first rows"


def test_a_single_image_is_trained_on():
    train, validation = split_rows(np.array([0, 0, 1]), validation=0.5, fraction=1, seed=3)
    assert (len(validation), 2 in train) == (1, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"validation": 0}, "above 0 and at most 0.5, got 0"),
        ({"validation": 0.6}, "got 0.6"),
        ({"fraction": 0.0}, "above 0 and at most 1, got 0.0"),
        ({"fraction": 1.5}, "got 1.5"),
        ({"fraction": float("nan")}, "got nan"),
        ({"fraction": 0.03}, "no image of class 2, which has 9 beside .*take 0.056 or more"),
    ],
)
def test_wrong_shares(changes, words):
    with pytest.raises(InputError, match=words) as error:
        split(**changes)
    assert "\n" not in str(error.value)


def test_images_without_a_class():
    with pytest.raises(InputError, match="2 of 4 images have no class"):
        split_rows(np.array([-1, 0, -1, 1]), validation=0.1, fraction=1, seed=0)
