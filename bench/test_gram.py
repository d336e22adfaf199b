"""`centered_gram` and `gram` against the reference, `x @ x.T` alone and `torch.mm` + centring.

One group per shape. `x @ x.T` does less: it neither shifts, centres nor packs.
Shapes: whole feature maps (65,536 = 64 x 32 x 32, ...) and tokens (12,480 = 65 x 192) per example.
"""

import pytest
import torch
from interleave import interleave, quartiles

from vitprobe import ops
from vitprobe.ops import reference

SHAPES = [(256, 65_536), (128, 12_480), (64, 4_096), (32, 768)]
COMPARED = {(64, 16_384): 100, (128, 12_480): 100, (256, 65_536): 25, (512, 32_768): 25}  # rounds
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


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


def ident(shape):
    return "x".join(map(str, shape))


def is_right(x):
    expected = reference.centered_gram(x.double())
    error = (ops.centered_gram(x) - expected).norm() / expected.norm()
    return error < 1e-5


@pytest.mark.parametrize("name", CANDIDATES)
@pytest.mark.parametrize("shape", SHAPES, ids=ident)
@pytest.mark.parametrize("dtype", DTYPES)
def test_centered_gram(benchmark, name, shape, dtype):
    benchmark.group = f"centered_gram {shape[0]} x {shape[1]} {dtype}"
    benchmark.name = name
    x = torch.randn(shape).to(DTYPES[dtype])
    benchmark.pedantic(CANDIDATES[name], args=(x,), rounds=15, warmup_rounds=2)


@pytest.mark.parametrize("shape", COMPARED, ids=ident)
@pytest.mark.parametrize("dtype", DTYPES)
def test_against_matmul(compared, rounds, shape, dtype):
    """The two in turns: what another process takes away, it takes from both."""
    x = torch.randn(shape).to(DTYPES[dtype])
    assert is_right(x)
    ways = {"x @ x.T": lambda: matmul(x), "centered_gram": lambda: ops.centered_gram(x)}
    seconds = interleave(ways, rounds(COMPARED[shape]), warm_up=3)
    theirs, ours = seconds.values()
    n, p = shape
    compared(
        table="centered_gram against x @ x.T alone (which neither shifts, centres nor packs)",
        name=f"{dtype}, {n} x {p:,}",
        unit="ms",
        rounds=len(ours),
        values={name: quartiles(each, 1e3) for name, each in seconds.items()},
        ratio_of="times faster",
        ratio=quartiles([their / our for their, our in zip(theirs, ours, strict=True)]),
        target=">= 1.6" if (dtype, shape) == ("float32", (256, 65_536)) else "",
    )
