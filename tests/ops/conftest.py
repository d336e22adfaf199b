"""What the operators' tests share: activations, an independent float64 HSIC, CKA from vectors;
the kernels of a GPU."""

import numpy as np
import pytest
import torch

from vitprobe import ops
from vitprobe.ops.library import why_no_cuda
from vitprobe.ops.variants import KERNELS


def _hsic(x, y, biased):
    """HSIC of two (n, ...) arrays as the papers write it, from full float64 Gram matrices."""
    x, y = (np.asarray(z, dtype=np.float64).reshape(len(z), -1) for z in (x, y))
    n = len(x)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    if biased:  # Gretton et al. 2005, without the 1/(n-1)^2
        h = np.eye(n) - np.ones((n, n)) / n
        return np.trace(k @ h @ l @ h)
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    one = np.ones(n)  # Song et al. 2012, equation 5
    value = np.trace(k @ l)
    value += (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
    value -= 2 / (n - 2) * (one @ k @ l @ one)
    return value / (n * (n - 3))


def _cka(batches, estimator="unbiased", of=ops.centered_gram):
    """CKA of (x, y) batches, through vectors and hsic_accumulate_."""
    acc = torch.zeros(2, 2, dtype=torch.float64)
    for x, y in batches:
        v = torch.stack([of(x, estimator), of(y, estimator)])
        ops.hsic_accumulate_(acc, v, v)
    return (acc[0, 1] / (acc[0, 0] * acc[1, 1]).sqrt()).item()


def _activations(n, p, dtype=torch.float32, ratio=0.0, seed=0):
    """(n, p), standard deviation 1, column means of either sign and `ratio` in size."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (p,), generator=generator) * 2 - 1
    return (torch.randn(n, p, generator=generator) + ratio * signs).to(dtype)


@pytest.fixture(scope="session")
def hsic():
    return _hsic


@pytest.fixture(scope="session")
def cka():
    return _cka


@pytest.fixture(scope="session")
def activations():
    return _activations


@pytest.fixture
def threads():
    """Set torch's number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cuda_kernels():
    """With a GPU the kernels must be there: else these tests would compare the reference."""
    assert why_no_cuda() == ""


@pytest.fixture(scope="module", params=KERNELS["centered_gram"].names)
def gram_kernel(request, cuda_kernels):
    """Every test runs once with each kernel of centered_gram, and of hsic_accumulate_ beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITPROBE_GRAM", request.param)
        patch.setenv("VITPROBE_HSIC", request.param)
        yield request.param


@pytest.fixture(scope="module", params=KERNELS["attention_statistics"].names)
def attention_kernel(request, cuda_kernels):
    """Every test runs once with each kernel of attention_statistics."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITPROBE_ATTENTION", request.param)
        yield request.param


@pytest.fixture
def poisoned_memory(cuda_kernels):
    """The allocator hands out memory full of NaN: results and workspace must all be written."""
    sizes = [2**power for power in range(6, 24)]
    poison = [torch.full((size,), torch.nan, device="cuda") for size in sizes for _ in range(3)]
    del poison
