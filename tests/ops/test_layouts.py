"""How a tensor lies in memory does not change its Gram matrix."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe import ops

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def expect_same(x, rows):
    """x, however it lies, gives bit for bit what `rows` (n, p), contiguous, gives."""
    assert rows.is_contiguous()
    assert torch.equal(ops.gram(x), ops.gram(rows))
    assert torch.equal(ops.centered_gram(x), ops.centered_gram(rows))


@pytest.mark.parametrize("dtype", DTYPES)
def test_channels_last_is_read_as_it_lies(activations, dtype):
    x = activations(9, 5 * 6 * 7, dtype).reshape(9, 5, 6, 7)
    x = x.to(memory_format=torch.channels_last)
    expect_same(x, x.permute(0, 2, 3, 1).reshape(9, -1))
    torch.testing.assert_close(ops.gram(x), ops.gram(x.contiguous()))


@pytest.mark.parametrize("dtype", DTYPES)
def test_ranges_of_tokens(activations, dtype):
    x = activations(9, 17 * 12, dtype).reshape(9, 17, 12)
    for part in (x[:, 0], x[:, 1:], x[:, 3:4], x[:, -5:-1]):
        expect_same(part, part.reshape(9, -1).contiguous())


@pytest.mark.parametrize("dtype", DTYPES)
@given(offset=st.integers(0, 9), gap=st.integers(0, 5), p=st.integers(1, 300))
@settings(max_examples=20, deadline=None)
def test_any_alignment(activations, dtype, offset, gap, p):
    memory = activations(1, offset + 9 * (p + gap), dtype)[0]
    x = memory.as_strided((9, p), (p + gap, 1), offset)
    expect_same(x, x.clone(memory_format=torch.contiguous_format))


def test_what_is_not_dense_is_copied(activations):
    x = activations(30, 8 * 9).reshape(30, 8, 9)
    sequence_first = x.transpose(0, 1).contiguous().transpose(0, 1)  # examples lie interleaved
    expect_same(sequence_first, x.reshape(30, -1).contiguous())
    transposed = x.reshape(30, -1).T.contiguous().T
    expect_same(transposed, x.reshape(30, -1).contiguous())
    expect_same(x[:, ::2], x[:, ::2].reshape(30, -1).contiguous())
    expect_same(x[::3], x[::3].reshape(10, -1).contiguous())
    expect_same(x[:1].expand(30, 8, 9), x[:1].expand(30, 8, 9).reshape(30, -1).contiguous())
    expect_same(x[:, :1].expand(30, 8, 9), x[:, :1].expand(30, 8, 9).reshape(30, -1).contiguous())


def test_one_number_per_example(activations):
    x = activations(9, 3)[:, 1]
    expect_same(x, x.reshape(9, 1).contiguous())
