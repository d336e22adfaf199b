"""`centered_grams_`: vectors and norms into rows that are given."""

import pytest
import torch

from vitprobe import ops


def made(dtype, features=(40, 7, 300), n=9):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, p, generator=generator).to(dtype) for p in features]


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_rows_apart_are_filled_and_nothing_else(dtype, estimator):
    xs = made(dtype)
    expected = ops.centered_grams(xs, estimator)
    buffer = torch.full((6, expected.shape[1]), 5.0, dtype=expected.dtype)
    norms = torch.full((3,), torch.nan, dtype=torch.float64)
    ops.centered_grams_(buffer[::2], norms, xs, estimator)
    assert torch.equal(buffer[::2], expected) and (buffer[1::2] == 5).all()
    wanted = torch.stack([x[0].double().norm() for x in xs])
    torch.testing.assert_close(norms, wanted, rtol=1e-6, atol=0)


def test_what_does_not_fit_is_refused():
    xs, norms = made(torch.float32), torch.empty(3, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"must be \(3, 36\) and \(3,\), not \(3, 45\) and \(3,\)"):
        ops.centered_grams_(torch.empty(3, 45), norms, xs)
    with pytest.raises(ValueError, match=r"not \(3, 36\) and \(2,\)"):
        ops.centered_grams_(torch.empty(3, 36), norms[:2], xs)
    with pytest.raises(TypeError, match=r"torch.float32 and torch.float64, not torch.float64"):
        ops.centered_grams_(torch.empty(3, 36, dtype=torch.float64), norms, xs)
    with pytest.raises(TypeError, match="not torch.float32 and torch.float32"):
        ops.centered_grams_(torch.empty(3, 36), norms.float(), xs)
