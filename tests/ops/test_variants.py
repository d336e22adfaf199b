"""What the environment says of the kernels of CUDA, and both kernels' numbers."""

import pytest
import torch

from vitprobe import ops
from vitprobe.ops.variants import CHOICES, KERNELS, forced_kernel, tune_mode

LAYERS = [(1, 1), (67, 263), (330, 330), (129, 1000)]


@pytest.mark.parametrize("operator", KERNELS)
def test_the_environment_overrides(operator, monkeypatch):
    kernels = KERNELS[operator]
    for kind in kernels.types:
        monkeypatch.delenv(kernels.environment, raising=False)
        assert forced_kernel(operator, kind) is None
        monkeypatch.setenv(kernels.environment, "")
        assert forced_kernel(operator, kind) is None
        for name in kernels.of(kind):
            monkeypatch.setenv(kernels.environment, name)
            assert forced_kernel(operator, kind) == name
        monkeypatch.setenv(kernels.environment, "fast")
        assert forced_kernel(operator, kind) == ("fast" if kind in kernels.fast else "simple")
        monkeypatch.setenv(kernels.environment, "faster")
        wrong = f"{kernels.environment} is reference, simple or fast, not 'faster'"
        with pytest.raises(ValueError, match=wrong):
            forced_kernel(operator, kind)


def test_the_reference_is_tried_first_and_fast_kernels_where_there_are_some():
    for kernels in KERNELS.values():
        for kind in kernels.types:
            found = kernels.of(kind)
            assert found == CHOICES[: len(found)] and ("fast" in found) == (kind in kernels.fast)
        assert set(kernels.fast) <= set(kernels.types)


def test_when_kernels_are_tried(monkeypatch):
    for said, mode in (("", "1"), ("0", "0"), ("1", "1"), ("force", "force")):
        monkeypatch.setenv("VITPROBE_TUNE", said)
        assert tune_mode() == mode
    monkeypatch.setenv("VITPROBE_TUNE", "yes")
    with pytest.raises(ValueError, match="VITPROBE_TUNE is 0, 1 or force, not 'yes'"):
        tune_mode()


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
    for name in KERNELS["hsic_accumulate_"].names:
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
    with pytest.raises(ValueError, match="VITPROBE_HSIC is .*, not 'faster'"):
        ops.hsic_accumulate_(acc, a, a)
