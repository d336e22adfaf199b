"""Which CUDA kernel runs: the constant, the environment variable, and both kernels' numbers."""

import pytest
import torch

from vitprobe import ops
from vitprobe.ops.variants import CUDA_KERNELS, chosen_kernel

LAYERS = [(1, 1), (67, 263), (330, 330), (129, 1000)]


@pytest.mark.parametrize("operator", CUDA_KERNELS)
def test_the_environment_chooses(operator, monkeypatch):
    variants = CUDA_KERNELS[operator]
    monkeypatch.delenv(variants.environment, raising=False)
    assert chosen_kernel(operator) == variants.default
    monkeypatch.setenv(variants.environment, "")
    assert chosen_kernel(operator) == variants.default
    for name in variants.names:
        monkeypatch.setenv(variants.environment, name)
        assert chosen_kernel(operator) == name
    monkeypatch.setenv(variants.environment, "faster")
    with pytest.raises(ValueError, match=f"{variants.environment} is simple.*not 'faster'"):
        chosen_kernel(operator)


@pytest.fixture
def cuda():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    return "cuda"


@pytest.mark.cuda
@pytest.mark.parametrize("n", [4, 65, 100, 256])
@pytest.mark.parametrize(("la", "lb"), LAYERS)
def test_every_kernel_gives_the_product(cuda, monkeypatch, la, lb, n):
    m = n * (n - 1) // 2
    generator = torch.Generator().manual_seed(m)
    b = torch.randn(lb, m, generator=generator).to(cuda)
    a = b if la == lb else torch.randn(la, m, generator=generator).to(cuda)
    expected = a.cpu().double() @ b.cpu().double().T
    for name in CUDA_KERNELS["hsic_accumulate_"].names:
        monkeypatch.setenv("VITPROBE_HSIC", name)
        acc = torch.zeros(la, lb, dtype=torch.float64, device=cuda)
        ops.hsic_accumulate_(acc, a, b)
        assert ((acc.cpu() - expected).norm() / expected.norm()).item() < 1e-6, name
        again = torch.zeros_like(acc)
        ops.hsic_accumulate_(again, a, b)
        assert torch.equal(acc, again), name


@pytest.mark.cuda
def test_sums_too_long_for_the_fast_kernels_workspace(cuda, monkeypatch):
    monkeypatch.setenv("VITPROBE_HSIC", "fast")
    a = torch.randn(2, 512 * 1024 + 1, device=cuda)
    acc = torch.zeros(2, 2, dtype=torch.float64, device=cuda)
    ops.hsic_accumulate_(acc, a, a)
    expected = a.cpu().double() @ a.cpu().double().T
    assert ((acc.cpu() - expected).norm() / expected.norm()).item() < 1e-6


@pytest.mark.cuda
def test_an_unknown_kernel_is_refused(cuda, monkeypatch):
    monkeypatch.setenv("VITPROBE_HSIC", "faster")
    a = torch.randn(2, 10, device=cuda)
    acc = torch.zeros(2, 2, dtype=torch.float64, device=cuda)
    with pytest.raises(ValueError, match="VITPROBE_HSIC is simple or fast, not 'faster'"):
        ops.hsic_accumulate_(acc, a, a)
