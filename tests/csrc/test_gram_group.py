"""Many sites in one launch, on the host: the GPU's own template, each against float64."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from whole_grams import activations, centred64, gram64, orders, stored

MATHS = {"f32": "f32", "tf32": "f32", "bf16": "bf16", "f16": "f16"}  # -> type of x
few = settings(max_examples=25, deadline=None)
EXAMPLES = st.one_of(st.integers(4, 70), st.integers(4, 256))
FEATURES = st.one_of(st.integers(1, 80), st.integers(100, 700))


def run(host, arrays, math, num_sms=3, biased=False, order=None, eager=False):
    """The vectors (sites, m), and how many launches they took."""
    done = reduced(host, arrays, math, num_sms, biased, order, eager)
    return done["vectors"], done["launches"]


def reduced(host, arrays, math, num_sms=3, biased=False, order=None, eager=False):
    done = host.centered_grams(arrays, math, num_sms, biased, order or orders(host)[0], eager)
    assert done["conflicts"] == 0 and done["misaligned"] == 0
    return done


FEW_ROWS = 8  # centring takes most of what they have in common, but not of their rounding


def expect_vector(vector, exact, biased=False, limit=2e-6):
    """That of `exact`; centring may leave next to nothing of the Gram matrix's rounding errors."""
    gram = gram64(exact)
    expected = centred64(gram, biased)
    rounding = 1e-6 * np.linalg.norm(gram)
    if limit > 1e-3 and len(exact) < FEW_ROWS:  # TF32: each operand is off by up to 2^-11 of it
        rounding += 2**-10 * np.linalg.norm(gram64(np.abs(exact)))
    assert np.linalg.norm(vector - expected) < limit * np.linalg.norm(expected) + rounding


def sites_of(n, features, kind, seed, ratio=1.0):
    """Arrays of any alignment, and their values."""
    arrays, values = [], []
    for k, p in enumerate(features):
        array, exact = stored(activations(n, p + k % 4, seed + k, ratio), kind)
        arrays.append(array[:, k % 4 :])
        values.append(exact[:, k % 4 :])
    return arrays, values


@few
@example(4, [1, 23], "tf32", 1, False, False, 13582)  # the bound of many rows is too small here
@given(
    n=EXAMPLES,
    features=st.lists(FEATURES, min_size=1, max_size=7),
    math=st.sampled_from(list(MATHS)),
    num_sms=st.integers(1, 20),
    biased=st.booleans(),
    eager=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_site_has_its_own_vector(host, n, features, math, num_sms, biased, eager, seed):
    arrays, values = sites_of(n, features, MATHS[math], seed)
    done = reduced(host, arrays, math, num_sms, biased, eager=eager)
    assert done["launches"] == 3  # whatever the number of sites
    for vector, exact in zip(done["vectors"], values, strict=True):
        expect_vector(vector, exact, biased, 2e-3 if math == "tf32" else 2e-6)
    assert np.allclose(done["norms"], [np.linalg.norm(exact[0]) for exact in values], rtol=1e-12)


@few
@given(
    n=st.sampled_from([4, 5, 64, 65, 128, 129, 256]),
    features=st.lists(st.integers(1, 10**6), min_size=2, max_size=300),
    blocks=st.integers(1, 300),
)
def test_splits_of_a_group(host, n, features, blocks):
    """As many sites as a launch takes; splits that no fp32 sum is too long for, few enough to fit
    the workspace. (`take_group` checks that each split finds its site.)"""
    first = host.take_group(n, features, blocks)
    splits, stages = np.diff(first), -(-np.array(features) // 32)
    count = len(splits)
    assert 1 <= count <= min(len(features), host.GROUP_SITES) and first[0] == 0
    assert (splits >= 1).all() and (splits <= stages[:count]).all()
    assert (-(-stages[:count] // splits) <= host.RUN_STAGES).all()
    if count > 1:
        assert first[-1] <= count + host.WAVES * blocks
    if count < min(len(features), host.GROUP_SITES):
        assert stages[: count + 1].sum() > host.WAVES * blocks * host.RUN_STAGES
    # No split is much longer than an even share of the work.
    share = -(-stages[:count].sum() // (host.WAVES * blocks))
    longest = -(-stages[:count] // splits).max()
    assert longest <= max(share, 2) or count == 1


def test_more_sites_than_one_launch_takes(host):
    count = host.GROUP_SITES + 3
    arrays, values = sites_of(9, [1 + k % 5 for k in range(count)], "f32", 0)
    vectors, launches = run(host, arrays, "f32")
    assert launches == 6
    for vector, exact in zip(vectors, values, strict=True):
        expect_vector(vector, exact)


def test_a_site_too_large_for_company_goes_alone(host):
    large = 2 * host.WAVES * 2 * host.RUN_STAGES * 32  # on one place of two blocks
    arrays, values = sites_of(8, [40, large, 50], "f32", 0)
    vectors, launches = run(host, arrays, "f32", num_sms=1)
    assert launches > 6
    for vector, exact in zip(vectors, values, strict=True):
        expect_vector(vector, exact)


@pytest.mark.parametrize("math", list(MATHS))
@pytest.mark.parametrize("n", [20, 100, 150])
def test_bits_depend_neither_on_the_order_of_threads_nor_on_when_copies_arrive(host, math, n):
    arrays, _ = sites_of(n, [3, 200, 77], MATHS[math], 1)
    runs = [
        run(host, arrays, math, order=order, eager=eager)[0]
        for order, eager in zip(orders(host, 5), [False, True, False], strict=True)
    ]
    assert np.array_equal(runs[0], runs[1]) and np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize("math", list(MATHS))
def test_more_examples_than_a_block_takes(host, math):
    arrays, values = sites_of(300, [40, 130], MATHS[math], 3)
    done = reduced(host, arrays, math)
    for vector, exact in zip(done["vectors"], values, strict=True):
        expect_vector(vector, exact, limit=2e-3 if math == "tf32" else 2e-6)
    assert np.allclose(done["norms"], [np.linalg.norm(exact[0]) for exact in values], rtol=1e-12)


def test_the_norm_of_a_long_example_is_summed_in_parts(host):
    """By more than one block, here and where many splits are added by several parts."""
    arrays, values = sites_of(8, [10_000, 20_001, 9], "f32", 4)
    done = reduced(host, arrays, "f32", num_sms=40)
    assert np.allclose(done["norms"], [np.linalg.norm(exact[0]) for exact in values], rtol=1e-12)


def test_a_bad_site_spoils_only_itself(host):
    arrays, values = sites_of(33, [50, 60, 70], "f32", 2)
    arrays[1] = arrays[1].copy()
    arrays[1][5, 7] = np.nan
    vectors, _ = run(host, arrays, "f32")
    assert np.isnan(vectors[1]).all()
    for k in (0, 2):
        expect_vector(vectors[k], values[k])


@pytest.mark.parametrize("n", [10, 100, 200])
def test_every_column_counts_once(host, n):
    arrays = []
    for p in (1, 31, 32, 33, 64, 65, 1025):
        x = np.zeros((n, p), dtype=np.float32)
        x[1::2] = 1.0
        arrays.append(x)
    vectors, _ = run(host, arrays, "f32")
    for vector, x in zip(vectors, arrays, strict=True):
        expected = centred64(gram64(x.astype(np.float64)), False)
        assert np.allclose(vector, expected, rtol=1e-6, atol=1e-6 * x.shape[1])
