"""`center_pack` against the reference."""

import pytest
import torch

from vitprobe import ops
from vitprobe.ops import reference

CANDIDATES = {"kernel": ops.center_pack, "reference": reference.center_pack}


@pytest.mark.parametrize("name", CANDIDATES)
@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
@pytest.mark.parametrize("examples", [32, 128, 256])
def test_center_pack(benchmark, name, estimator, examples):
    benchmark.group = f"center_pack {examples} examples, {estimator}"
    benchmark.name = name
    gram = ops.gram(torch.randn(examples, 512))
    benchmark.pedantic(
        CANDIDATES[name], args=(gram, estimator), rounds=30, iterations=10, warmup_rounds=3
    )
