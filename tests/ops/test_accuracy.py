"""The kernels' error, judged against torch's own in float32, and inputs that show lost columns."""

import pytest
import torch

from vitprobe import ops
from vitprobe.ops import reference

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
SHAPES = [(4, 1), (5, 70_003), (33, 257), (64, 12_000), (129, 4_099), (256, 3_001)]


def relative(value, exact):
    return ((value.double() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("ratio", [0.0, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_error_at_most_twice_torch(activations, dtype, ratio):
    """torch is given the same shifted (and widened) input; what it multiplies is then centred."""
    for n, p in SHAPES:
        x = activations(n, p, dtype, ratio)
        exact = reference.gram(x.double())
        shifted = x.float() - x.float().mean(0)
        torchs = (shifted @ shifted.T)[tuple(torch.tril_indices(n, n))].double()
        for estimator in ("unbiased", "biased"):
            expected = reference.center_pack(exact, estimator)
            result = ops.centered_gram(x, estimator)
            if not expected.any():  # bfloat16 rounds 100 + noise in one column to one value
                assert not result.any()
                continue
            bound = relative(reference.center_pack(torchs, estimator).float(), expected)
            assert relative(result, expected) <= 2 * bound + 6e-8, (n, p, estimator)


@pytest.mark.parametrize("shape", SHAPES)
def test_float64_is_computed_in_float64(activations, shape):
    x = activations(*shape, torch.float64, 10.0)
    exact = reference.centered_gram(x)
    result = ops.centered_gram(x)
    assert result.dtype == torch.float64
    assert relative(result, exact) < 1e-12
    assert relative(ops.center_pack(ops.gram(x)), exact) < 1e-12


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float64])
@pytest.mark.parametrize("value", [1.0, 0.1, 1e4, -3e-6])
def test_constant_features_give_exact_zeros(dtype, value):
    x = torch.full((37, 1001), value, dtype=dtype)
    for estimator in ("unbiased", "biased"):
        assert not ops.centered_gram(x, estimator).any()
        assert not reference.centered_gram(x, estimator).any()


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float64])
@pytest.mark.parametrize("p", [1, 7, 255, 256, 257, 1000, 2049, 4111])
def test_last_columns_are_not_dropped(activations, dtype, p):
    """Zero but for the last columns: the same as these columns alone."""
    for kept in {1, min(3, p)}:
        x = activations(50, p, dtype)
        x[:, : p - kept] = 0
        expected = reference.gram(x[:, p - kept :].double())
        torch.testing.assert_close(ops.gram(x).double(), expected, rtol=2e-6, atol=2e-6)


def test_float16_values_of_every_kind():
    """Subnormal numbers, the largest number, and both zeros, widened exactly."""
    values = torch.tensor([0.0, -0.0, 2.0**-24, -(2.0**-15), 2.0**-14, 1.0, -65504.0, 65504.0])
    x = values.half()[:, None].expand(8, 3).contiguous()
    torch.testing.assert_close(ops.gram(x), ops.gram(x.float()), rtol=0, atol=0)


def test_many_examples(activations):
    """More examples than the workspace has room for shares."""
    x = activations(1500, 1100)
    assert relative(ops.centered_gram(x), reference.centered_gram(x.double())) < 5e-7
