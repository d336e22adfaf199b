"""The fast Gram kernel on the host: the GPU's own template, lane by lane, against float64.

mma, ldmatrix and cp.async are replaced by what the PTX manual says they do; the matrix unit cuts
where a GPU's may. Shared memory, workspace and results start as NaN.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_grams import activations, centred64, gram64, orders, relative_error, stored

MATHS = {"f32": "f32", "tf32": "f32", "bf16": "bf16", "f16": "f16"}  # -> type of x
few = settings(max_examples=25, deadline=None)
EXAMPLES = st.one_of(st.integers(4, 70), st.integers(4, 300))
FEATURES = st.one_of(st.integers(1, 80), st.integers(100, 700))


def run(host, x, math, num_sms=3, order=None, eager=False):
    """The Gram matrix (n, n), not yet centred, and what the host counted."""
    counted = host.gram_fast(x, math, num_sms, order or orders(host)[0], eager)
    assert counted["conflicts"] == 0 and counted["misaligned"] == 0 and counted["loads"] > 0
    n = len(x)
    rows, columns = np.tril_indices(n)
    gram = np.full((n, n), np.nan)
    gram[rows, columns] = gram[columns, rows] = counted["packed"]
    return gram, counted


def errors(gram, values):
    """Of the centred Gram matrix, and of the one that numpy computes in float32."""
    expected = centred64(gram64(values), False)
    shifted = (values - values.mean(0)).astype(np.float32)
    single = centred64((shifted @ shifted.T).astype(np.float64), False)
    return relative_error(centred64(gram, False), expected), relative_error(single, expected)


@few
@given(
    n=EXAMPLES,
    p=FEATURES,
    gap=st.integers(0, 9),
    math=st.sampled_from(list(MATHS)),
    num_sms=st.integers(1, 20),
    ratio=st.sampled_from([0.0, 1.0, 2.0, 6.0]),
    eager=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_shape_alignment_and_number_of_multiprocessors(
    host, n, p, gap, math, num_sms, ratio, eager, seed
):
    array, values = stored(activations(n, p, seed, ratio, gap), MATHS[math])
    gram, _ = run(host, array, math, num_sms, eager=eager)
    limit = 2e-3 if math == "tf32" else 1e-5 if math == "f16" and ratio > 1 else 2e-6
    expected = centred64(gram64(values), True)
    assert relative_error(centred64(gram, True), expected) < limit


@pytest.mark.parametrize("math", list(MATHS))
@pytest.mark.parametrize("offset", range(4))
def test_every_alignment_is_copied(host, math, offset):
    kind = MATHS[math]
    size = 4 if kind == "f32" else 2
    copies = []
    for gap in range(4):
        whole = activations(40, 64 + offset + 8 - gap % 4 * (gap > 0), seed=gap, ratio=0.0)
        array, values = stored(np.ascontiguousarray(whole), kind)
        array, values = array[:, offset:], values[:, offset:]
        gram, counted = run(host, array, math)
        copies.append(counted["copy"])
        places = (array.ctypes.data, array.strides[0])
        wanted = [c for c in (16, 4, 2) if all(place % c == 0 for place in places)][0]
        assert counted["copy"] == max(wanted, size if size == 4 else 2)
        assert errors(gram, values)[0] < (2e-3 if math == "tf32" else 2e-6)
    assert min(copies) < 16


@few
@given(
    n=st.one_of(st.integers(4, 70), st.integers(65, 150), st.integers(257, 280)),
    p=st.integers(1, 300),
    math=st.sampled_from(list(MATHS)),
    seed=st.integers(0, 2**32 - 1),
)
def test_bits_depend_neither_on_the_order_of_threads_nor_on_when_copies_arrive(
    host, n, p, math, seed
):
    array, _ = stored(activations(n, p, seed), MATHS[math])
    grams = [
        run(host, array, math, order=order, eager=eager)[0]
        for order, eager in zip(orders(host, seed), [False, True, False], strict=True)
    ]
    assert np.array_equal(grams[0], grams[1]) and np.array_equal(grams[0], grams[2])


@pytest.mark.parametrize("ratio", [0.0, 1.0, 3.0, 5.0, 10.0, 100.0])
@pytest.mark.parametrize(("n", "p"), [(32, 4096), (100, 1000), (130, 520)])
@pytest.mark.parametrize("math", ["f32", "bf16", "f16"])
def test_at_most_twice_the_error_of_float32(host, math, n, p, ratio):
    """f16 where its columns cannot be shifted exactly: the matrix unit cuts (1 + ratio^2) more."""
    array, values = stored(activations(n, p, n, ratio), MATHS[math])
    mine, single = errors(run(host, array, math)[0], values)
    cut = 1 + ratio**2 if math == "f16" and ratio < 5 else 1
    assert mine <= 2 * cut * max(single, 1e-7)


def test_tf32_has_the_error_of_its_inputs(host):
    array, values = stored(activations(64, 2000, 0), "f32")
    mine, single = errors(run(host, array, "tf32")[0], values)
    assert 10 * single < mine < 1e-3


@pytest.mark.parametrize("math", list(MATHS))
def test_constant_columns_give_exact_zeros(host, math):
    for value in (0.0, 3.0, -1234.567, 6e4):
        array, _ = stored(np.full((77, 130), value, dtype=np.float32), MATHS[math])
        assert not run(host, array, math)[0].any()


@pytest.mark.parametrize("math", list(MATHS))
def test_one_small_number_in_a_column_of_large_ones_is_kept(host, math):
    """A column whose shift would round one row's number: it is not shifted."""
    x = activations(60, 200, seed=1, ratio=0.0)
    x[:, ::3] += 16.0
    x[7, ::6] = 0.0123
    array, values = stored(x, MATHS[math])
    assert errors(run(host, array, math)[0], values)[0] < (2e-3 if math == "tf32" else 1e-4)


@pytest.mark.parametrize("n", [40, 150, 300])
@pytest.mark.parametrize("math", ["bf16", "f16"])
def test_columns_that_can_be_shifted_exactly_are(host, math, n):
    """All digits are the mean's: unshifted, the matrix unit would cut a hundred times as much."""
    digits = {"bf16": 128, "f16": 1024}[math]
    whole = np.random.default_rng(n).integers(-5, 6, (n, 200)) + digits + 20
    array, values = stored((whole * np.where(np.arange(200) % 2, 1, -1)).astype(np.float32), math)
    assert np.array_equal(np.abs(values), whole)
    assert errors(run(host, array, math)[0], values)[0] < 2e-7


@pytest.mark.parametrize(("math", "scale"), [("f16", 6e-6), ("f16", 2e4), ("bf16", 1e-15)])
@pytest.mark.parametrize("ratio", [0.0, 1.0, 2.0])
def test_numbers_at_the_ends_of_the_type(host, math, scale, ratio):
    """Subnormal halves, halves near the largest; squares that are near float32's least."""
    x = np.clip(activations(70, 300, 5, ratio), -3.2, 3.2) * np.float32(scale)
    array, values = stored(x.astype(np.float32), math)
    assert np.isfinite(values).all()
    assert errors(run(host, array, math)[0], values)[0] < (1e-5 if ratio > 1 else 2e-6)


@pytest.mark.parametrize("n", [10, 100, 200, 300, 600])
def test_every_column_counts_once(host, n):
    for p in (1, 31, 32, 33, 64, 65, 1025):
        x = np.zeros((n, p), dtype=np.float32)
        x[1::2] = 1.0
        for math in ("f32", "bf16"):
            array, values = stored(x, math)
            gram, _ = run(host, array, math)
            assert np.allclose(
                centred64(gram, True), centred64(gram64(values), True), rtol=0, atol=1e-9 * p
            )


def test_several_passes_over_k(host):
    """More stages than the blocks of one launch may sum in fp32."""
    p = 2 * host.RUN_STAGES * 32 + 40
    array, values = stored(activations(12, p, 3), "f32")
    assert len(host.plan_gram(12, -(-p // 32), False, 2)["splits"]) == 4
    mine, single = errors(run(host, array, "f32", num_sms=1)[0], values)
    assert mine <= 2 * single


@pytest.mark.parametrize("math", list(MATHS))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_input_reaches_the_result(host, math, bad):
    for n in (70, 260):
        x = activations(n, 300, seed=1)
        x[41, 133] = bad
        gram, _ = run(host, stored(x, MATHS[math])[0], math)
        assert not np.isfinite(gram[41]).any()
        assert not np.isfinite(centred64(gram, False)).any()
