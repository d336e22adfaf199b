"""acc += a b^T."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe import ops
from vitprobe.ops import reference

BOTH = pytest.mark.parametrize(
    "function", [ops.hsic_accumulate_, reference.hsic_accumulate_], ids=["kernel", "reference"]
)


@BOTH
@settings(max_examples=40, deadline=None)
@given(
    la=st.integers(1, 70),
    lb=st.integers(1, 130),
    m=st.one_of(st.integers(1, 50), st.integers(1000, 6000)),
    double=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_against_float64(activations, function, la, lb, m, double, seed):
    a = activations(la, m, torch.float64 if double else torch.float32, seed=seed)
    b = activations(lb, m, a.dtype, seed=seed + 1)
    start = activations(la, lb, torch.float64, seed=seed + 2)
    acc = start.clone()
    assert function(acc, a, b) is acc
    error = (acc - start - a.double() @ b.double().T).abs().max().item()
    assert error < (1e-13 if double else 1e-6) * m**0.5 * 40


@BOTH
def test_ones_are_counted_exactly(function):
    """Every column counts once: no slice is dropped, repeated or cut short."""
    for m in (1, 255, 256, 257, 1023, 1025, 32_640):
        ones = torch.ones(3, m)
        acc = torch.full((3, 3), 0.5, dtype=torch.float64)
        function(acc, ones, ones)
        assert acc.eq(m + 0.5).all()


@pytest.mark.parametrize("layers", [1, 8, 47, 48, 49, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_matrix_with_itself_is_symmetric(activations, layers, dtype):
    a = activations(layers, 5000, dtype)
    acc = torch.zeros(layers, layers, dtype=torch.float64)
    for _ in range(2):
        ops.hsic_accumulate_(acc, a, a)
    assert torch.equal(acc, acc.T)
    half = torch.zeros_like(acc)
    ops.hsic_accumulate_(half, a, a.clone())
    torch.testing.assert_close(acc, 2 * half, rtol=1e-12, atol=1e-9)


def test_strided_arguments(activations):
    a, b = activations(600, 20).T, activations(9, 1200)[:, ::2]
    acc = torch.zeros(9, 20, dtype=torch.float64).T
    ops.hsic_accumulate_(acc, a, b)
    torch.testing.assert_close(acc, a.double() @ b.double().T, rtol=0, atol=1e-4)
    rows = activations(40, 600)
    acc = torch.zeros(20, 20, dtype=torch.float64)
    ops.hsic_accumulate_(acc, rows[::2], rows[1::2])
    torch.testing.assert_close(acc, rows[::2].double() @ rows[1::2].double().T, rtol=0, atol=1e-4)


def test_nothing_to_add(activations):
    acc = activations(3, 4, torch.float64)
    before = acc.clone()
    ops.hsic_accumulate_(acc, torch.empty(3, 0), torch.empty(4, 0))
    assert torch.equal(acc, before)
    assert ops.hsic_accumulate_(acc[:0], torch.empty(0, 7), torch.ones(4, 7)).shape == (0, 4)
