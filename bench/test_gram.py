"""`centered_gram` and `gram` against the reference, `x @ x.T` alone and `torch.mm` + centring.

One group per shape. `x @ x.T` does less: it neither shifts, centres nor packs.
"""

import statistics
import time

import pytest
import torch

from vitprobe import ops
from vitprobe.ops import reference

SHAPES = [(256, 65_536), (128, 12_480), (64, 4_096), (32, 768)]


def matmul(x):
    return x @ x.T


def mm_and_center(x):
    """The textbook way: U-centring the full Gram matrix in the type of x."""
    n = x.shape[0]
    k = torch.mm(x, x.T).fill_diagonal_(0)
    row = k.sum(0) / (n - 2)
    return k - row[:, None] - row[None, :] + row.sum() / (n - 1)


CANDIDATES = {
    "kernel": ops.centered_gram,
    "kernel gram": ops.gram,
    "reference": reference.centered_gram,
    "x @ x.T": matmul,
    "mm + centre": mm_and_center,
}


@pytest.mark.parametrize("name", CANDIDATES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["f32", "bf16"])
def test_centered_gram(benchmark, name, shape, dtype):
    benchmark.group = f"centered_gram {shape[0]} x {shape[1]} {dtype}".replace("torch.", "")
    benchmark.name = name
    x = torch.randn(shape).to(dtype)
    benchmark.pedantic(CANDIDATES[name], args=(x,), rounds=15, warmup_rounds=2)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_times_faster_than_matmul(benchmark, shape, capsys):
    """The two in turn, in one process: what another process takes away, it takes from both."""
    x = torch.randn(shape)
    seconds = {ops.centered_gram: [], matmul: []}
    for _ in range(25):
        for function, times in seconds.items():
            start = time.perf_counter()
            function(x)
            times.append(time.perf_counter() - start)
    ours, torchs = (statistics.median(times[3:]) for times in seconds.values())
    benchmark.group = "times faster than x @ x.T"
    benchmark.extra_info["times_faster"] = torchs / ours
    with capsys.disabled():
        n, p = shape
        print(
            f"\ncentered_gram {n} x {p}, float32, {torch.get_num_threads()} threads: "
            f"{ours * 1e3:.3f} ms, x @ x.T {torchs * 1e3:.3f} ms: {torchs / ours:.2f} times faster"
        )
    benchmark.pedantic(ops.centered_gram, args=(x,), rounds=5)
