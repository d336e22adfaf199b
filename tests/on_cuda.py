"""What the tests of the CUDA operators share: marks, inputs, errors."""

import pytest
import torch

from vitprobe.ops import reference, tolerance
from vitprobe.ops.candidates import KINDS
from vitprobe.ops.tolerance import exact, relative_error

DEVICE = "cuda"
TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
ESTIMATORS = ["unbiased", "biased"]


# Fixtures of tests/ops/conftest.py: every test runs once with each kernel.
MARKS = [
    pytest.mark.cuda,
    pytest.mark.each_kernel,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
    pytest.mark.usefixtures("gram_kernel", "poisoned_memory"),
]


def activations(n, p, dtype=torch.float32, ratio=0.0, seed=0):
    """(n, p) whose column means are `ratio` standard deviations, drawn on the GPU."""
    generator = torch.Generator(DEVICE).manual_seed(seed)
    signs = torch.randint(0, 2, (p,), generator=generator, device=DEVICE) * 2.0 - 1.0
    x = torch.randn(n, p, generator=generator, device=DEVICE)
    return x.add_(signs, alpha=ratio).to(dtype)


def error(value, expected):
    """Frobenius-relative; also asserts that nothing was left unwritten."""
    assert value.shape == expected.shape and value.isfinite().all()
    return relative_error(value, expected)


def expect_centred(vector, gram, estimator, dtype):
    """That of a Gram matrix; centring may leave next to nothing of the matrix's rounding errors."""
    expected = reference.center_pack(exact(gram), estimator)
    assert vector.shape == expected.shape and vector.isfinite().all()
    size = expected.norm() + exact(gram).norm()
    assert ((exact(vector) - expected).norm() / size).item() < limit(dtype)


def limit(dtype):
    """What a kernel must keep to be chosen, too."""
    return tolerance.limit(KINDS[dtype])
