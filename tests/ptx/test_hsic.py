"""The HSIC kernels of csrc/cuda, executed: to the tolerance of the GPU tests."""

import numpy as np
import pytest
from whole_grams import activations


def check(run, operator, kind, la, lb, m, *, same=False, gap=0, transposed=False):
    numpy_kind = {"f32": np.float32, "f64": np.float64}[kind]
    a = activations(la, m + gap, 1).astype(numpy_kind)[:, gap:]
    b = a if same else activations(lb, m, 2).astype(numpy_kind)
    start = np.random.default_rng(0).standard_normal((lb, la) if transposed else (la, lb))
    left = run.tensor(a, kind)
    right = left if same else run.tensor(b, kind)
    acc = run.tensor(start.T if transposed else start, "f64", write=True)
    for _ in range(2):
        assert run.call(operator, acc, left, right) == []
    found = run.device.array(acc.address, start.shape, np.float64)
    found, start = (found.T, start.T) if transposed else (found, start)
    a, b = a.astype(np.float64), b.astype(np.float64)
    size = np.linalg.norm(a) * np.linalg.norm(b)  # a single sum may come to nearly nothing
    error = np.linalg.norm(found - start - 2 * a @ b.T) / (np.linalg.norm(found) + size)
    assert error < (1e-13 if kind == "f64" else 2e-6)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_simple(run, kind):
    check(run, "hsic_accumulate_", kind, 5, 67, 530, gap=1, transposed=True)
    check(run, "hsic_accumulate_", kind, 66, 66, 40, same=True)


def test_fast(run):
    check(run, "hsic_accumulate_fast_", "f32", 5, 130, 1100)
    check(run, "hsic_accumulate_fast_", "f32", 20, 9, 75, gap=1, transposed=True)
    check(run, "hsic_accumulate_fast_", "f32", 130, 130, 40, same=True)


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["hsic_accumulate_", "hsic_accumulate_fast_"])
@pytest.mark.parametrize(("la", "lb"), [(1, 1), (64, 65), (128, 129), (200, 3)])
@pytest.mark.parametrize("m", [1, 17, 1025])
def test_every_shape(run, operator, m, la, lb):
    check(run, operator, "f32", la, lb, m, gap=m % 3, transposed=m % 2 == 0)
    check(run, operator, "f32", la, la, m, same=True)
