"""The CUDA kernels' bodies, run on the host thread by thread, against numpy in float64.

Bodies, tile maps, launch sequences and workspace sizes are the GPU's own; only the barrier and the
launch are replaced. Shared memory, workspace and results start as NaN. The threads of a block run
in different orders between two barriers, and the bits must not depend on it.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_grams import activations, centred64, gram64, orders, packed, relative_error, stored

EXAMPLES = st.integers(4, 150)
FEATURES = st.one_of(st.integers(1, 80), st.integers(500, 1100))
few = settings(max_examples=25, deadline=None)


@few
@given(
    n=EXAMPLES,
    p=FEATURES,
    gap=st.integers(0, 3),
    kind=st.sampled_from(["f32", "bf16", "f16", "f64"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_gram_of_every_element_type(host, n, p, gap, kind, seed):
    array, values = stored(activations(n, p, seed, gap=gap), kind)
    out = host.gram(array, kind, True, orders(host)[0])
    assert relative_error(out, packed(gram64(values), True)) < (1e-13 if kind == "f64" else 1e-6)


@few
@given(n=EXAMPLES, p=FEATURES, biased=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_bits_do_not_depend_on_the_order_of_threads(host, n, p, biased, seed):
    x = activations(n, p, seed)
    results = []
    for order in orders(host, seed):
        gram = host.gram(x, "f32", True, order)
        centred = host.center_pack_f64_f32(gram, n, biased, order)
        acc = np.ones((1, 1))
        host.hsic_accumulate_f32(acc, centred[None], centred[None], True, order)
        results.append(np.concatenate([gram, centred, acc[0]]))
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


@pytest.mark.parametrize("ratio", [0.0, 1.0, 10.0, 100.0, 1e4])
@pytest.mark.parametrize("n", [33, 128])
def test_large_means_cost_no_accuracy(host, ratio, n):
    x = activations(n, 3000, seed=n, ratio=ratio)
    gram = host.gram(x, "f32", True, orders(host)[0])
    centred = host.center_pack_f64_f32(gram, n, False, orders(host)[0])
    expected = centred64(gram64(x.astype(np.float64)), biased=False)
    shifted = (x.astype(np.float64) - x.astype(np.float64).mean(0)).astype(np.float32)
    numpy32 = centred64((shifted @ shifted.T).astype(np.float64), biased=False).astype(np.float32)
    assert relative_error(centred, expected) <= 2 * relative_error(numpy32, expected)


@few
@given(n=EXAMPLES, value=st.floats(-1e6, 1e6, width=32))
def test_constant_columns_give_exact_zeros(host, n, value):
    x = np.full((n, 37), value, dtype=np.float32)
    assert not host.gram(x, "f32", True, orders(host)[0]).any()


@pytest.mark.parametrize("p", [511, 512, 513, 1025])
def test_every_feature_counts_once(host, p):
    n = 66
    x = np.zeros((n, p), dtype=np.float32)
    x[1::2] = 1.0  # every column: half zeros, half ones, so each element is +-p/4
    out = host.gram(x, "f32", True, orders(host)[0])
    signs = np.where(np.arange(n) % 2 == 1, 0.5, -0.5)
    assert np.array_equal(out, packed(p * np.outer(signs, signs), True))


@few
@given(
    n=st.integers(4, 300),
    biased=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_center_pack_is_the_definition(host, n, biased, seed):
    x = np.random.default_rng(seed).standard_normal((n, 7))
    gram = packed(x @ x.T, True)
    expected = centred64(x @ x.T, biased)
    order = orders(host)[0]
    assert relative_error(host.center_pack_f64(gram, n, biased, order), expected) < 1e-13
    single = host.center_pack_f32(gram.astype(np.float32), n, biased, order)
    assert single.dtype == np.float32 and relative_error(single, expected) < 1e-6


@few
@given(
    la=st.integers(1, 140),
    lb=st.integers(1, 140),
    m=FEATURES,
    double=st.booleans(),
    transposed=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_hsic_accumulate_adds_the_product(host, la, lb, m, double, transposed, seed):
    rng = np.random.default_rng(seed)
    dtype, add = (
        (np.float64, host.hsic_accumulate_f64) if double else (np.float32, host.hsic_accumulate_f32)
    )
    a = rng.standard_normal((la, m + 1)).astype(dtype)[:, 1:]
    b = rng.standard_normal((lb, m)).astype(dtype)
    before = rng.standard_normal((lb, la)).T if transposed else rng.standard_normal((la, lb))
    acc = before.copy(order="K")
    add(acc, a, b, False, orders(host)[0])
    a, b = a.astype(np.float64), b.astype(np.float64)
    size = np.linalg.norm(a) * np.linalg.norm(b)  # a single sum may come to nearly nothing
    assert np.linalg.norm(acc - before - a @ b.T) < (1e-13 if double else 1e-6) * size


@few
@given(rows=st.integers(1, 200), m=FEATURES, seed=st.integers(0, 2**32 - 1))
def test_hsic_accumulate_of_one_matrix_mirrors_its_half(host, rows, m, seed):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((rows, m)).astype(np.float32)
    whole, half = np.zeros((rows, rows)), np.zeros((rows, rows))
    host.hsic_accumulate_f32(whole, a, a.copy(), False, orders(host)[0])
    host.hsic_accumulate_f32(half, a, a, True, orders(host)[0])
    assert np.array_equal(half, half.T)
    assert np.array_equal(np.tril(half), np.tril(whole))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_input_reaches_the_result(host, bad):
    x = activations(70, 600, seed=1)
    x[41, 533] = bad
    order = orders(host)[0]
    gram = host.gram(x, "f32", True, order)
    assert not np.isfinite(gram).any()
    assert not np.isfinite(host.center_pack_f64_f32(gram, 70, False, order)).any()


@few
@given(n=st.integers(4, 300), runs=st.integers(1, 5), limit=st.integers(1, 20))
def test_little_workspace_changes_only_how_the_sum_is_cut(host, n, runs, limit):
    """Several launches, and shares of several runs: what large n and p bring with 1,024 tiles."""
    x = activations(n, (runs - 1) * host.RUN + 7, seed=n)
    out = host.gram(x, "f32", True, orders(host)[0], limit)
    assert relative_error(out, packed(gram64(x.astype(np.float64)), True)) < 1e-6
    acc = np.zeros((n, n))
    host.hsic_accumulate_f32(acc, x, x, True, orders(host)[0], limit)
    assert relative_error(acc, x.astype(np.float64) @ x.T.astype(np.float64)) < 1e-6


def test_workspace_is_at_most_32_mib(host):
    for n, k in [(64, 2**30), (256, 2**30), (2000, 2**20), (20_000, 2**20)]:
        assert host.plan_product(n, n, k, True)["partials"] * 8 <= 32 * 2**20


def test_more_tiles_than_the_workspace_holds(host):
    rows = 3000
    x = activations(rows, 3, seed=2)
    plan = host.plan_product(rows, rows, 3, True)
    assert plan["per_launch"] < len(plan["tiles"])  # several launches
    out = host.gram(x, "f32", True, orders(host)[0])
    assert relative_error(out, packed(gram64(x.astype(np.float64)), True)) < 1e-6


def test_exact_buffers_under_the_sanitizers(ctest):
    assert "100% tests passed" in ctest
