"""`center_pack` against the reference and torch on the full matrix (which it need not unpack)."""

import pytest
import torch

from vitprobe import ops
from vitprobe.ops import reference


def center_in_full(k, estimator):
    """The textbook way: the full matrix in, the full matrix out, in float32."""
    n = k.shape[0]
    if estimator == "biased":
        row = k.mean(0)
        return k - row[:, None] - row[None, :] + row.mean()
    k = k.clone().fill_diagonal_(0)
    row = k.sum(0) / (n - 2)
    return k - row[:, None] - row[None, :] + row.sum() / (n - 1)


CANDIDATES = {
    "kernel": ops.center_pack,
    "reference": reference.center_pack,
    "torch, full matrix": center_in_full,
}


@pytest.mark.parametrize("name", CANDIDATES)
@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
@pytest.mark.parametrize("examples", [32, 128, 256])
def test_center_pack(benchmark, name, estimator, examples):
    benchmark.group = f"center_pack {examples} examples, {estimator}"
    benchmark.name = name
    x = torch.randn(examples, 512)
    gram = x @ x.T if name == "torch, full matrix" else ops.gram(x)
    result = benchmark.pedantic(
        CANDIDATES[name], args=(gram, estimator), rounds=30, iterations=10, warmup_rounds=3
    )
    if name == "kernel":
        torch.testing.assert_close(result, reference.center_pack(gram, estimator))
