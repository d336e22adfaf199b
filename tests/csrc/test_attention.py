"""The attention kernels on the host: the GPU's own bodies, thread by thread, against float64.

In the fast kernel mma, ldmatrix and cp.async are replaced by what the PTX manual says they do; the
matrix unit cuts where a GPU's may. Shared memory, workspace and results start as NaN.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_attention import as_stored, case, statistics64, weights64
from whole_grams import orders

few = settings(max_examples=40, deadline=None)
KINDS = ["f32", "f64", "bf16", "f16"]
HALVES = ["bf16", "f16"]
BIASES = ["", "full", "keys", "heads", "none left"]
RAW, RATIO, MASS, ENTROPY, LEFT = range(5)


def run(host, case, kind, fast=False, order=None, eager=False, num_sms=1):
    """What the kernel computes of the case, and the same case's numbers in float64. num_sms: the
    GPU's multiprocessors; for many of them the fast kernel makes more, smaller blocks."""
    given, values = as_stored(case, kind)
    inputs = host.AttentionInputs(
        given.q, given.k, given.bias, given.scale, given.grid, given.prefix, given.patch
    )
    order = order or orders(host)[0]
    if not fast:
        return host.attention(inputs, kind, order), values
    found = host.attention_fast(inputs, kind, num_sms, order, eager)
    if found["fits"]:
        assert found["conflicts"] == 0 and found["misaligned"] == 0 and found["loads"] > 0
    return found, values


def error(statistics, values):
    """The largest, of distances in parts of the grid's diagonal, of entropies of log T."""
    expected, _ = statistics64(values)
    diagonal = math.hypot(values.grid[0] * values.patch[0], values.grid[1] * values.patch[1])
    sizes = np.array([diagonal, diagonal, 1, 1 + math.log(values.q.shape[2]), 1])
    assert statistics.shape == expected.shape
    assert np.array_equal(np.isnan(statistics), np.isnan(expected))
    return np.nanmax(np.abs(statistics - expected) / sizes[:, None, None])


def limit(kind, values):
    """Scores err in proportion to their size."""
    largest = np.abs(values.scale * np.einsum("bhid,bhjd->bhij", values.q[:, :1], values.k[:, :1]))
    return (1e-14 if kind == "f64" else 2e-6) * (1 + largest.max())


GRIDS = st.tuples(st.integers(1, 9), st.integers(1, 9)) | st.sampled_from(
    [(1, 70), (16, 16), (17, 16), (20, 13)]
)
HEADS = st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 2), (3, 3)])
common = {
    "images": st.integers(1, 2),
    "heads": HEADS,
    "grid": GRIDS,
    "prefix": st.integers(0, 8),
    "size": st.sampled_from([0.3, 1.0, 3.0]),
    "bias": st.sampled_from(BIASES),
    "seed": st.integers(0, 2**32 - 1),
}


@few
@given(
    kind=st.sampled_from(KINDS),
    depth=st.integers(1, 40) | st.sampled_from([64, 72, 128, 150]),
    layout=st.sampled_from(["split", "plain", "odd"]),
    **common,
)
def test_simple_kernel(host, kind, images, heads, depth, grid, prefix, size, bias, layout, seed):
    c = case(images, *heads, depth, grid, prefix, seed, size=size, bias=bias, layout=layout)
    found, values = run(host, c, kind)
    assert found["statistics"].dtype == (np.float64 if kind == "f64" else np.float32)
    assert error(found["statistics"], values) < limit(kind, values)
    row = statistics64(values)[1]
    assert np.abs(found["row"] - row).max() < 10 * limit(kind, values)


@few
@given(
    kind=st.sampled_from(HALVES),
    depth=st.integers(1, 16).map(lambda units: 8 * units),
    layout=st.sampled_from(["split", "plain"]),
    eager=st.booleans(),
    num_sms=st.sampled_from([1, 100]),
    **common,
)
def test_fast_kernel(
    host, kind, images, heads, depth, grid, prefix, size, bias, layout, eager, num_sms, seed
):
    c = case(images, *heads, depth, grid, prefix, seed, size=size, bias=bias, layout=layout)
    found, values = run(host, c, kind, fast=True, eager=eager, num_sms=num_sms)
    assert found["fits"]
    assert error(found["statistics"], values) < limit(kind, values)


@few
@given(
    kind=st.sampled_from(HALVES),
    depth=st.sampled_from([16, 64, 80, 128]),
    grid=GRIDS,
    prefix=st.integers(0, 3),
    bias=st.sampled_from(BIASES),
    seed=st.integers(0, 2**32 - 1),
)
def test_bits_depend_neither_on_the_order_of_threads_nor_on_when_copies_arrive(
    host, kind, depth, grid, prefix, bias, seed
):
    c = case(1, 2, 1, depth, grid, prefix, seed, bias=bias)
    ways = list(zip(orders(host, seed), [False, True, False], strict=True))
    for fast in (False, True):
        found = [run(host, c, kind, fast, order, eager)[0] for order, eager in ways]
        for other in found[1:]:
            for name in ("statistics", "row"):
                same = found[0].get(name), other.get(name)
                assert same[0] is None or np.array_equal(*same, equal_nan=True)


@pytest.mark.parametrize("grid", [(32, 32), (40, 30), (2, 700), (700, 2)])
def test_distances_are_looked_up_in_small_grids_and_computed_in_large_ones(host, grid):
    c = case(1, 1, 1, 16, grid, 1, 0)
    c.patch = (4.0, 7.5)
    looked_up = (2 * grid[0] - 1) * (2 * grid[1] - 1) <= host.FAR_PLACES
    assert looked_up == (grid == (32, 32))
    for fast in (False, True):
        found, values = run(host, c, "bf16", fast)
        assert error(found["statistics"], values) < 2e-6


@pytest.mark.parametrize("kind", ["table", "pairs", "computed"])
@given(
    grid=st.tuples(st.integers(1, 33), st.integers(1, 33))
    | st.sampled_from([(1, 2000), (1, 2048), (1, 2049), (700, 1), (22, 22), (31, 32), (32, 32)]),
    patch=st.sampled_from([(16.0, 16.0), (0.1, 0.1), (3.0, 0.7)]),
    query=st.integers(0, 10**6),
    key=st.integers(0, 10**6),
)
def test_distances_from_each_source(host, kind, grid, patch, query, key):
    """Of neighbours too, however far from the first patch: whole numbers are subtracted."""
    rows, columns = grid
    query %= rows * columns
    for key0 in (key % (rows * columns), query):
        keys = key0 // 4 * 4 + np.arange(4)
        found = np.array(host.far(kind, grid, patch, query, keys[0]))
        if kind == "pairs":
            fits = columns % 2 == 0 and (2 * rows - 1) * 2 * columns < host.FAR_PLACES // 2 - 16
        else:
            fits = kind == "computed" or (2 * rows - 1) * (2 * columns - 1) <= host.FAR_PLACES
        assert (len(found) == 4) == fits
        inside = keys < rows * columns
        y, x = keys // columns - query // columns, keys % columns - query % columns
        wanted = np.hypot(y * np.float32(patch[0]), x * np.float32(patch[1]))
        if fits:
            assert np.allclose(found[inside], wanted[inside], rtol=3e-7, atol=0)


@pytest.mark.parametrize("grid", [(2, 2), (14, 14), (5, 9)])
@pytest.mark.parametrize("fast", [False, True])
def test_uniform_attention(host, grid, fast):
    """q = 0: the mean distance between patches, and log T."""
    c = case(1, 1, 1, 32, grid, 1, 0)
    c.q = np.zeros_like(c.q)
    found, _ = run(host, c, "bf16", fast)
    n = grid[0] * grid[1]
    y, x = 16 * np.divmod(np.arange(n), grid[1])[0], 16 * (np.arange(n) % grid[1])
    mean = np.hypot(y[:, None] - y, x[:, None] - x).mean()
    expected = [mean * n / (n + 1), mean, n / (n + 1), math.log(n + 1), 0]
    assert np.allclose(found["statistics"][:, 0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("fast", [False, True])
def test_attention_to_one_key_has_its_distance(host, fast):
    """Each patch looks at the one right of it, the last of a row at its row's first."""
    rows, columns, prefix = 6, 8, 2
    tokens = prefix + rows * columns
    k = np.eye(tokens, 64, dtype=np.float32)[None, None]
    looks = np.arange(tokens)
    patch = looks[prefix:] - prefix
    looks[prefix:] = prefix + patch // columns * columns + (patch + 1) % columns
    c = case(1, 1, 1, 64, (rows, columns), prefix, 0)
    c.k, c.q, c.scale, c.patch = k, k[:, :, looks] * 1024, 1.0, (3.0, 5.0)
    found, _ = run(host, c, "bf16", fast)
    distance = 5 * (1 * (columns - 1) + (columns - 1)) / columns
    assert found["statistics"][:, 0, 0].tolist() == [distance, distance, 1, 0, 0]


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("slope", [0.25, 40.0])
@pytest.mark.parametrize("largest", [0, 50, 99])
def test_the_largest_score_may_come_at_any_time(host, fast, slope, largest):
    """Scores that grow from key to key up to one, to thousands, and fall from there."""
    c = case(1, 1, 1, 16, (9, 11), 1, 0)
    c.q, c.k = np.zeros_like(c.q), np.zeros_like(c.k)
    c.q[..., 0], c.k[..., 0] = 1, 100 - np.abs(np.arange(100) - largest)
    c.scale = slope
    found, values = run(host, c, "f16", fast)
    assert error(found["statistics"], values) < 1e-6


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("grid", [(8, 9), (9, 9), (40, 30)])
def test_scores_far_above_those_of_the_first_keys(host, kind, grid):
    """Distances in pairs, one by one and computed; whole stages that are done twice."""
    c = case(1, 1, 1, 16, grid, 2, 0, size=4.0)
    found, values = run(host, c, kind, fast=True)
    assert error(found["statistics"], values) < limit(kind, values)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("lowest", [-np.inf, np.finfo(np.float32).min])
def test_queries_without_a_patch_are_left_out(host, fast, lowest):
    """Some may look at the class token only, some at nothing; a mask may be made of the lowest
    finite number, which leaves a query with nothing else where it was: uniform."""
    c = case(1, 2, 1, 16, (5, 6), 1, 0, bias="full")
    c.bias[:, 0, 3:7, 1:] = lowest
    c.bias[:, 0, 9:11] = lowest
    c.bias[:, 1] = lowest
    found, values = run(host, c, "bf16", fast)
    expected = statistics64(values)[0]
    assert expected[LEFT].tolist() == ([[6, 30]] if lowest == -np.inf else [[4, 0]])
    assert np.isnan(expected[RATIO, 0, 1]) == (lowest == -np.inf)
    assert error(found["statistics"], values) < 3e-6


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["q", "k"])
@pytest.mark.parametrize("fast", [False, True])
def test_non_finite_numbers_reach_their_image_and_head_only(host, kind, bad, where, fast):
    c = case(2, 2, 1, 32, (7, 8), 1, 0, layout="plain")
    getattr(c, where)[1, 0, 29, 5] = bad
    found, _ = run(host, c, kind, fast)
    for statistic in (RAW, RATIO, MASS, ENTROPY):
        assert np.isnan(found["statistics"][statistic]).tolist() == [[False, False], [True, False]]


def test_the_class_tokens_queries_are_not_patches(host):
    """A NaN in the class token's query reaches its row, and nothing else."""
    c = case(1, 1, 1, 32, (4, 5), 1, 0)
    c.q = c.q.copy()
    c.q[0, 0, 0, 3] = np.nan
    for fast in (False, True):
        found, _ = run(host, c, "bf16", fast)
        assert np.isfinite(found["statistics"]).all()
    assert np.isnan(run(host, c, "bf16")[0]["row"]).all()


def test_attention_of_token_0_sums_to_one(host):
    c = case(2, 2, 1, 24, (20, 20), 1, 0, size=2.0)
    found, values = run(host, c, "f32")
    assert np.allclose(found["row"].sum(-1), 1, rtol=1e-6)
    assert np.allclose(found["row"], weights64(values)[:, :, 0], atol=1e-6)


def test_what_the_fast_kernel_takes(host):
    def fits(depth, layout="split", scale=1.0, shift=0):
        c, _ = as_stored(case(1, 2, 1, depth, (3, 4), 1, 0, layout=layout), "bf16")
        q = c.q
        if shift:
            q = np.zeros(q.size + shift, np.uint16)[shift:].reshape(q.shape)
        inputs = host.AttentionInputs(q, c.k, None, scale, c.grid, c.prefix, c.patch)
        return host.attention_fast(inputs, "bf16", 1, orders(host)[0], False)["fits"]

    assert [depth for depth in range(8, 170, 8) if fits(depth)] == list(range(8, 129, 8))
    assert not fits(20) and not fits(64, "odd") and not fits(64, shift=1)
    assert fits(64, shift=8)
    assert not fits(64, scale=0.0) and not fits(64, scale=-1.0) and not fits(64, scale=math.inf)


@given(n=st.integers(0, 2**31 - 1), divisor=st.integers(1, 2**31 - 1), times=st.integers(0, 2**31))
def test_division_by_multiplying(host, n, divisor, times):
    most = (2**31 - 1) // divisor
    for dividend in (n, divisor * min(times, most), max(divisor * min(times, most) - 1, 0)):
        assert host.divide(dividend, divisor) == dividend // divisor


def test_shared_memory_fits_every_gpu(host):
    """A multiprocessor of compute capability 12.0 has 100 KiB, and keeps one for each block."""
    for size, blocks in host.attention_shared_bytes():
        assert blocks * (size + 1024) <= 100 * 1024
