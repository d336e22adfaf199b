"""The attention kernels of csrc/cuda, executed: to the tolerance of the GPU tests."""

import math

import numpy as np
import pytest
import whole_attention

KINDS = ["f32", "bf16", "f16", "f64"]
STEPS = [32, 64, 96, 128]  # of depth: the fast kernel is made for each


def check(run, operator, kind, *shape, fast_kernel=False, **how):
    case = whole_attention.case(*shape, 0, **how)
    own, wide = whole_attention.as_stored(case, kind)
    sums = "f64" if kind == "f64" else "f32"
    bias = None if own.bias is None else run.tensor(own.bias, sums)
    before = len(run.device.launches)
    statistics, row = run.call(
        operator, run.tensor(own.q, kind), run.tensor(own.k, kind), float(case.scale), *case.grid,
        case.prefix, bias, *map(float, case.patch), True,
    )  # fmt: skip
    names = " ".join(name for name, _ in run.device.launches[before:])
    assert ("AttentionTile" in names) == fast_kernel
    wanted, wanted_row = whole_attention.statistics64(wide)
    found = run.array(statistics)
    diagonal = math.hypot(case.grid[0] * case.patch[0], case.grid[1] * case.patch[1])
    sizes = np.array([diagonal, diagonal, 1, 1 + math.log(own.q.shape[2]), 1])[:, None, None]
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    error = max(
        np.nan_to_num(np.abs(found - wanted) / sizes).max(),
        np.abs(run.array(row) - wanted_row).max(),
    )
    largest = case.scale * max(np.linalg.norm(wide.q, axis=-1).max() for _ in "q")
    largest *= np.linalg.norm(wide.k, axis=-1).max()
    assert error < (1e-13 if kind == "f64" else 1e-6) * (2 + largest)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", ["", "full", "none left"])
def test_simple(run, kind, bias):
    grid = (9, 8) if bias == "" else (3, 4)
    check(run, "attention_statistics", kind, 1, 2, 2, 20, grid, 1, bias=bias, layout="odd")


def test_more_keys_than_a_row_of_threads(run):
    check(run, "attention_statistics", "f32", 1, 1, 1, 5, (1, 300), 2)


@pytest.mark.parametrize("kind", ["bf16", "f16"])
@pytest.mark.parametrize("depth", STEPS)
def test_fast(run, kind, depth):
    """Distances looked up in pairs (columns even) and singly, computed where there is a bias."""
    check(run, "attention_statistics_fast", kind, 1, 1, 1, depth, (3, 6), 1, fast_kernel=True)
    check(run, "attention_statistics_fast", kind, 1, 2, 2, depth - 8, (6, 7), 1, fast_kernel=True)
    check(run, "attention_statistics_fast", kind, 1, 2, 1, depth, (5, 6), 0, bias="keys",
          layout="plain", fast_kernel=True)  # fmt: skip


@pytest.mark.parametrize("depth", STEPS)
@pytest.mark.parametrize("grid", [(9, 8), (9, 9)])
def test_fast_with_whole_stages_of_patches(run, depth, grid):
    """Distances in pairs, where columns are even; scores far above a lane's first ones."""
    for size in (1.0, 4.0):
        check(run, "attention_statistics_fast", "bf16", 1, 2, 2, depth, grid, 2, size=size,
              fast_kernel=True)  # fmt: skip


@pytest.mark.parametrize("kind", ["bf16", "f16"])
@pytest.mark.parametrize("depth", STEPS)
def test_fast_on_a_grid_too_large_for_a_table(run, kind, depth):
    check(run, "attention_statistics_fast", kind, 1, 1, 1, depth, (33, 33), 0, fast_kernel=True)


def test_what_the_fast_kernel_does_not_take_goes_to_the_simple_one(run):
    check(run, "attention_statistics_fast", "bf16", 1, 1, 1, 20, (3, 3), 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bf16", "f16"])
@pytest.mark.parametrize("depth", [8, 40, 64, 128])
@pytest.mark.parametrize(
    ("grid", "bias"),
    [((1, 1), "full"), ((14, 14), ""), ((17, 16), "heads"), ((1, 300), "none left")],
)
def test_fast_of_every_kind(run, kind, depth, grid, bias):
    check(run, "attention_statistics_fast", kind, 2, 2, 2, depth, grid, depth % 3, bias=bias,
          fast_kernel=True)  # fmt: skip
