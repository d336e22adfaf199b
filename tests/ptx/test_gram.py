"""The Gram and centring kernels of csrc/cuda, executed: to the tolerance of the GPU tests."""

import numpy as np
import pytest
from whole_grams import activations, centred64, gram64, packed, relative_error, stored

KINDS = ["f32", "bf16", "f16", "f64"]
MATHS = {"bf16": "bf16", "f16": "f16", "tf32": "f32", "3xtf32": "f32"}  # -> type of x
SIZES = {"f32": 4, "f64": 8, "bf16": 2, "f16": 2}


def limit(kind):
    return 1e-13 if kind == "f64" else 2e-6


def rows(n, p, kind, alignment, ratio, seed=0):
    """(array, values): rows that lie at multiples of `alignment` bytes and of no more."""
    size = SIZES[kind]
    step = max(alignment // size, 1)
    stride = -(-p // (16 // size)) * (16 // size) + (0 if alignment == 16 else step)
    array, values = stored(activations(n, stride + step, seed, ratio), kind)
    gap = stride + step - p
    first = 0 if alignment == 16 else step
    whole = np.zeros((n, stride), array.dtype) if alignment == 16 else None
    if alignment == 16:
        whole[:, :p] = array[:, :p]
        return whole[:, :p], values[:, :p]
    assert gap > first
    flat = np.zeros(n * stride + step, array.dtype)
    view = np.lib.stride_tricks.as_strided(flat[first:], (n, p), (stride * size, size))
    view[...] = array[:, :p]
    return view, values[:, :p]


def expect(vector, values, biased, kind, tolerance=None):
    """As tests/on_cuda.py: centring may leave next to nothing of the matrix's rounding errors."""
    gram = gram64(values)
    wanted = centred64(gram, biased)
    size = np.linalg.norm(wanted) + np.linalg.norm(packed(gram, True))
    assert vector.shape == wanted.shape and np.isfinite(vector).all()
    assert np.linalg.norm(vector - wanted) / size < (tolerance or limit(kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "p", "alignment"), [(65, 530, 1), (64, 70, 16)])
def test_simple(run, kind, n, p, alignment):
    x, values = rows(n, p, kind, max(alignment, SIZES[kind]), 1.0)
    [gram] = run.call("gram", run.tensor(x, kind))
    assert relative_error(run.array(gram), packed(gram64(values), True)) < limit(kind)
    for biased in (False, True):
        [vector] = run.call("centered_gram", run.tensor(x, kind), biased)
        expect(run.array(vector), values, biased, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_simple_of_several(run, kind):
    sites = [rows(10, p, kind, 8, 1.0, seed=p) for p in (3, 40)]
    [vectors] = run.call("centered_grams", [run.tensor(x, kind) for x, _ in sites], True)
    for vector, (_, values) in zip(run.array(vectors), sites, strict=True):
        expect(vector, values, True, kind)


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("n", [70, 260])
def test_centre(run, kind, biased, n):
    gram = gram64(stored(activations(n, 90, 0), "f64")[1])
    own = packed(gram, True).astype(np.float64 if kind == "f64" else np.float32)
    [vector] = run.call("center_pack", run.tensor(own, kind), biased)
    assert relative_error(run.array(vector), centred64(gram, biased)) < limit(kind)


def fast(run, n, p, math, alignment, ratio, biased=False):
    kind = MATHS[math]
    x, values = rows(n, p, kind, alignment, ratio)
    [vector] = run.call("centered_gram_fast", run.tensor(x, kind), biased, math == "tf32")
    expect(run.array(vector), values, biased, kind, 1e-3 if math == "tf32" else None)


# Seven stages of 128 bytes for each block: more than twice around the ring of three.
def seven_stages(n, math, num_sms):
    blocks = num_sms * (2 if n <= 128 else 1)
    return (blocks * 7 - 1) * 128 // SIZES[MATHS[math]] + 5


@pytest.mark.parametrize("math", MATHS)
@pytest.mark.parametrize(
    ("n", "alignment", "ratio"),
    [
        (64, 16, 0.0),
        (64, 4, 6.0),
        (65, 16, 6.0),
        (128, 4, 0.0),
        (256, 16, 6.0),
        (300, 16, 0.0),
    ],
)
def test_fast(run, math, n, alignment, ratio):
    """Columns' means of 0 and of 6 standard deviations: no shift, and one in every column."""
    run.num_sms = 1
    fast(run, n, seven_stages(n, math, 1) if n < 300 else 150, math, alignment, ratio)


@pytest.mark.parametrize("math", ["bf16", "f16"])
@pytest.mark.parametrize("n", [64, 128])
def test_fast_of_rows_at_any_even_byte(run, math, n):
    run.num_sms = 1
    fast(run, n, 450, math, 2, 1.0, biased=True)


@pytest.mark.slow
@pytest.mark.parametrize("math", MATHS)
@pytest.mark.parametrize("n", [64, 65, 128, 256, 300])
@pytest.mark.parametrize(("alignment", "ratio"), [(16, 3.9), (4, 0.0), (2, 6.0)])
def test_fast_of_every_kind(run, math, n, alignment, ratio):
    alignment = max(alignment, SIZES[MATHS[math]])
    fast(run, n, seven_stages(n, math, 2), math, alignment, ratio, biased=True)


@pytest.mark.parametrize("math", MATHS)
@pytest.mark.parametrize("n", [40, 65, 130])
def test_group(run, math, n):
    """Three sites in one launch: aligned rows, rows apart, and one narrower than a stage."""
    kind = MATHS[math]
    sites = [(333, 16, 0.0), (90, 4, 6.0), (5, 4, 1.0)]
    sites = [rows(n, p, kind, where, ratio, seed=p) for p, where, ratio in sites]
    tensors = [run.tensor(x, kind) for x, _ in sites]
    [vectors] = run.call("centered_grams_fast", tensors, False, math == "tf32")
    for vector, (_, values) in zip(run.array(vectors), sites, strict=True):
        expect(vector, values, False, kind, 1e-3 if math == "tf32" else None)


@pytest.mark.parametrize("math", ["bf16", "3xtf32"])
def test_not_a_number_reaches_the_result(run, math):
    x = activations(65, 200, 0)
    x[41, 133] = np.nan
    kind = MATHS[math]
    [vector] = run.call("centered_gram_fast", run.tensor(stored(x, kind)[0], kind), False, False)
    assert not np.isfinite(run.array(vector)).any()


@pytest.mark.parametrize("math", MATHS)
def test_rows_and_norms_that_are_given(run, math):
    """Of a group, in rows that lie apart; and the first example's norm, found in passing."""
    kind, n = MATHS[math], 40
    sites = [rows(n, p, kind, 16, 1.0, seed=p) for p in (333, 5000)]
    length = n * (n - 1) // 2
    vectors = run.tensor(np.zeros((2, length + 9), np.float32)[:, :length], "f32", write=True)
    norms = run.tensor(np.zeros(2), "f64", write=True)
    tensors = [run.tensor(x, kind) for x, _ in sites]
    run.call("centered_grams_fast_", vectors, norms, tensors, False, math == "tf32")
    wanted = [np.linalg.norm(values[0]) for _, values in sites]
    assert np.allclose(run.array(norms), wanted, rtol=1e-12)
    for i, (_, values) in enumerate(sites):
        address = vectors.address + 4 * i * (length + 9)
        vector = run.device.array(address, (length,), np.float32)
        expect(vector, values, False, kind, 1e-3 if math == "tf32" else None)
