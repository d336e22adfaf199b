"""`hsic_accumulate_` against the reference and float32 / float64 matrix products.

93 x 263 layers (ResNet-18 against ViT-tiny, every module) and a batch of 128 or 256 examples.
"""

import pytest
import torch

from vitprobe import ops
from vitprobe.ops import reference


def matmul(acc, a, b):
    """One float32 product: sums as long as m."""
    acc += a @ b.T
    return acc


def matmul_in_float64(acc, a, b):
    return acc.addmm_(a.double(), b.double().T)


CANDIDATES = {
    "kernel": ops.hsic_accumulate_,
    "reference": reference.hsic_accumulate_,
    "a @ b.T": matmul,
    "float64": matmul_in_float64,
}


@pytest.mark.parametrize("name", CANDIDATES)
@pytest.mark.parametrize("same", [False, True], ids=["two models", "one model"])
@pytest.mark.parametrize("examples", [128, 256])
def test_hsic_accumulate(benchmark, name, same, examples):
    layers = (263, 263) if same else (93, 263)
    benchmark.group = f"hsic_accumulate_ {layers[0]} x {layers[1]} layers, {examples} examples"
    benchmark.name = name
    m = examples * (examples - 1) // 2
    b = torch.randn(layers[1], m)
    a = b if same else torch.randn(layers[0], m)
    acc = torch.zeros(layers, dtype=torch.float64)
    benchmark.pedantic(CANDIDATES[name], args=(acc, a, b), rounds=15, warmup_rounds=2)
    once = CANDIDATES[name](torch.zeros_like(acc), a, b)
    torch.testing.assert_close(once, a.double() @ b.double().T, rtol=1e-4, atol=1e-4 * m)
