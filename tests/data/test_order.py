"""example_order: one permutation decided by (seed, pass) alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe.data import example_order
from vitprobe.errors import InputError


@settings(max_examples=50, deadline=None)
@given(st.integers(4, 300), st.integers(0, 2**40), st.integers(0, 5), st.data())
def test_prefix_of_one_permutation(n, seed, pass_index, data):
    whole = example_order(n, seed=seed, pass_index=pass_index)
    assert torch.equal(whole.sort().values, torch.arange(n))
    examples = data.draw(st.integers(4, n))
    part = example_order(n, seed=seed, pass_index=pass_index, examples=examples)
    assert torch.equal(part, whole[:examples])


def test_seeds_and_passes_differ():
    orders = [example_order(100, seed=s, pass_index=p) for s in range(3) for p in range(3)]
    assert len({tuple(order.tolist()) for order in orders}) == 9
    # no (seed, pass) pair falls on another's, as seed + pass would
    assert not torch.equal(example_order(100, seed=1), example_order(100, pass_index=1))


def test_every_place_is_equally_likely():
    """The mean of 2,000 first places lies within four standard errors of the middle."""
    first = torch.stack([example_order(101, seed=s, examples=4) for s in range(2000)]).double()
    assert abs(first.mean() - 50) < 4 * (101**2 / 12 / first.numel()) ** 0.5


def test_file_order():
    assert example_order(9, order="file", examples=5, pass_index=3, seed=7).tolist() == [
        0, 1, 2, 3, 4,
    ]  # fmt: skip


def test_callers_random_state_is_left_alone():
    before = torch.get_rng_state()
    example_order(50)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 10, "examples": 11}, "asked for 11 examples, but there are 10"),
        ({"n": 10, "examples": 3}, "at least 4 examples, got 3"),
        ({"n": 3}, "at least 4 examples, got 3"),
        ({"n": 10, "order": "seed"}, "did you mean 'seeded'"),
        ({"n": 10, "seed": -1}, "0 or more"),
        ({"n": 10, "seed": 2**63}, r"below 2\*\*63"),
    ],
)
def test_impossible_orders(arguments, words):
    with pytest.raises(InputError, match=words):
        example_order(**arguments)
