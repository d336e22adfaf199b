"""The fast HSIC kernel's body and maps on the host: thread by thread, against numpy in float64."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

LENGTHS = st.one_of(st.integers(1, 40), st.integers(120, 300), st.integers(1000, 2100))
few = settings(max_examples=20, deadline=None)


def orders(host, seed=0):
    forward = list(range(host.THREADS))
    shuffled = np.random.default_rng(seed).permutation(host.THREADS).tolist()
    return [forward, forward[::-1], shuffled]


def error(value, expected):
    return np.linalg.norm(value - expected) / max(np.linalg.norm(expected), 1e-30)


def rows_at(rng, rows, m, offset, stride):
    """(rows, m) float32 from `offset` elements after an address that 16 divides."""
    flat = np.empty(rows * stride + 16 + offset, dtype=np.float32)
    start = -flat.ctypes.data // 4 % 4 + offset
    matrix = flat[start : start + rows * stride].reshape(rows, stride)[:, :m]
    matrix[...] = rng.standard_normal((rows, m))
    return matrix


@few
@given(
    la=st.integers(1, 200),
    lb=st.integers(1, 200),
    m=LENGTHS,
    gap=st.integers(0, 4),
    offset=st.integers(0, 3),
    transposed=st.booleans(),
    limit=st.sampled_from([512, 20, 17]),
    seed=st.integers(0, 2**32 - 1),
)
def test_adds_the_product(host, la, lb, m, gap, offset, transposed, limit, seed):
    rng = np.random.default_rng(seed)
    a = rows_at(rng, la, m, offset, m + gap)
    b = rows_at(rng, lb, m, 0, -(-m // 4) * 4)  # every row aligned
    before = rng.standard_normal((lb, la)).T if transposed else rng.standard_normal((la, lb))
    acc = before.copy(order="K")
    host.hsic_accumulate_fast(acc, a, b, False, orders(host)[0], limit)
    a, b = a.astype(np.float64), b.astype(np.float64)
    size = np.linalg.norm(a) * np.linalg.norm(b)  # a single sum may come to nearly nothing
    assert np.linalg.norm(acc - before - a @ b.T) < 1e-6 * size


@few
@given(rows=st.integers(1, 300), m=LENGTHS, seed=st.integers(0, 2**32 - 1))
def test_one_matrix_mirrors_its_half_bit_for_bit(host, rows, m, seed):
    a = np.random.default_rng(seed).standard_normal((rows, m)).astype(np.float32)
    whole, half = np.zeros((rows, rows)), np.zeros((rows, rows))
    host.hsic_accumulate_fast(whole, a, a.copy(), False, orders(host)[0])
    host.hsic_accumulate_fast(half, a, a, True, orders(host)[0])
    assert np.array_equal(half, half.T)
    assert np.array_equal(np.tril(half), np.tril(whole))
    assert error(half, a.astype(np.float64) @ a.T.astype(np.float64)) < 1e-6


@few
@given(la=st.integers(1, 150), m=LENGTHS, same=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_bits_depend_on_neither_the_threads_nor_the_workspace(host, la, m, same, seed):
    a = np.random.default_rng(seed).standard_normal((la, m)).astype(np.float32)
    b = a if same else a[: la // 2 + 1].copy()
    results = []
    for order in orders(host, seed):
        for limit in (512, 17):
            acc = np.ones((la, len(b)))
            host.hsic_accumulate_fast(acc, a, b, same, order, limit)
            results.append(acc)
    assert all(np.array_equal(results[0], other) for other in results)


@pytest.mark.parametrize("m", [1, 7, 8, 9, 127, 128, 129, 1023, 1024, 1025, 2049])
def test_every_column_counts_once(host, m):
    a, b = np.ones((3, m), dtype=np.float32), np.full((130, m), 0.5, dtype=np.float32)
    acc = np.zeros((3, 130))
    host.hsic_accumulate_fast(acc, a, b, False, orders(host)[0])
    assert np.array_equal(acc, np.full((3, 130), m / 2))


def test_accuracy_is_that_of_short_sums(host):
    """Products of one sign, where long float32 sums lose digits."""
    a = np.random.default_rng(0).uniform(1, 2, (5, 32_640)).astype(np.float32)
    acc = np.zeros((5, 5))
    host.hsic_accumulate_fast(acc, a, a, True, orders(host)[0])
    expected = a.astype(np.float64) @ a.T.astype(np.float64)
    assert np.abs(acc / expected - 1).max() < 2e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_input_reaches_its_row_and_column_only(host, bad):
    a = np.random.default_rng(1).standard_normal((140, 300)).astype(np.float32)
    a[131, 297] = bad
    acc = np.zeros((140, 140))
    host.hsic_accumulate_fast(acc, a, a, True, orders(host)[0])
    touched = np.zeros((140, 140), dtype=bool)
    touched[131] = touched[:, 131] = True
    assert np.array_equal(~np.isfinite(acc), touched)


@given(
    rows=st.integers(1, 3000),
    columns=st.integers(1, 3000),
    k=st.one_of(st.integers(1, 2**19), st.integers(1, 2**34)),
    lower=st.booleans(),
)
def test_plan_covers_the_result_in_bounded_workspace(host, rows, columns, k, lower):
    columns = rows if lower else columns
    plan = host.plan_splits(rows, columns, k, lower)
    across, down = (math.ceil(size / host.SPLIT_TILE) for size in (columns, rows))
    wanted = [(i, j) for i in range(down) for j in range(i + 1 if lower else across)]
    assert plan["tiles"] == wanted
    assert plan["length"] <= 1024 and plan["length"] % host.SPLIT_STEP == 0
    assert plan["splits"] == math.ceil(k / plan["length"])
    assert 0 <= plan["per_launch"] <= len(wanted)
    assert (plan["per_launch"] == 0) == (plan["splits"] > 512)  # else the simple kernel runs
    assert plan["partials"] == plan["per_launch"] * plan["splits"] * host.SPLIT_TILE**2
    assert plan["partials"] * 4 <= 32 * 2**20
    if lower:  # the same splits as of two matrices: the same bits
        assert plan["length"] == host.plan_splits(rows, columns, k, False)["length"]


@pytest.mark.parametrize(("la", "lb"), [(330, 330), (67, 263), (1000, 1000), (1, 1)])
@pytest.mark.parametrize("n", [128, 256])
def test_there_are_blocks_for_every_multiprocessor(host, la, lb, n):
    plan = host.plan_splits(la, lb, n * (n - 1) // 2, la == lb)
    shortest = plan["length"] == 128
    assert shortest or plan["per_launch"] * plan["splits"] >= 200


def test_one_buffer_is_fetched_once_and_stored_once(host):
    threads, fetches = range(host.THREADS), range(host.SPLIT_FETCHES)
    places = [host.split_fetch(thread, i) for i in fetches for thread in threads]
    quads = {(row, k) for row in range(host.SPLIT_TILE) for k in range(0, host.SPLIT_STEP, 4)}
    assert len(places) == len(quads) and set(places) == quads
    for k in range(host.SPLIT_STEP):
        stored = {host.split_quad(k, row) for row in range(0, host.SPLIT_TILE, 4)}
        assert stored == set(range(host.SPLIT_TILE // 4))


def word(host, k, row):
    return (k * host.SPLIT_TILE // 4 + host.split_quad(k, row)) * 4 + row % 4


def test_no_bank_conflicts(host):
    """32 banks of 4 bytes; 16-byte reads go a quarter of a warp at a time."""
    for warp in range(0, host.THREADS, 32):
        for i in range(host.SPLIT_FETCHES):
            for e in range(4):
                places = [host.split_fetch(thread, i) for thread in range(warp, warp + 32)]
                banks = {word(host, k + e, row) % 32 for row, k in places}
                assert len(banks) == 32
        for first in range(warp, warp + 32, 8):
            for half in (0, 64):
                for k in range(host.SPLIT_STEP):
                    for side in (lambda t: t // 16, lambda t: t % 16):
                        rows = {4 * side(thread) + half for thread in range(first, first + 8)}
                        starts = {word(host, k, row) for row in rows}  # one word is broadcast
                        assert len({start % 32 for start in starts}) == len(starts)
