"""The maps of the fast Gram kernel: fragments as in the PTX manual, everything covered once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

LANES = [(lane >> 2, lane % 4) for lane in range(32)]  # the manual's groupID, threadID_in_group


def test_fragments_of_m16n8k16_are_the_manuals(host):
    """PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type": elements a0 .. a7."""
    a = {}
    for i in range(8):
        for lane, (group, thread) in enumerate(LANES):
            row = group if i in (0, 1, 4, 5) else group + 8
            column = thread * 2 + (i & 1) + (8 if i >= 4 else 0)
            a[i, lane] = (row, column)
    places = host.a_places()
    for (i, lane), (row, column) in a.items():
        assert places[i // 2 * 32 + lane] == (row, 2 * (column - i % 2))
    places = host.b_places()
    for i in range(4):  # b0 .. b3: row (of K) and column
        for lane, (group, thread) in enumerate(LANES):
            k = thread * 2 + (i & 1) + (8 if i >= 2 else 0)
            assert places[i // 2 * 32 + lane] == (group, 2 * (k - i % 2))


def test_fragments_of_m16n8k8_tf32_are_the_manuals(host):
    """PTX ISA, "Matrix Fragments for mma.m16n8k8", .tf32: a0 .. a3, b0, b1."""
    a, b, c = host.a_places(), host.b_places(), host.c_places()
    for lane, (group, thread) in enumerate(LANES):
        rows = [group, group + 8, group, group + 8]
        columns = [thread, thread, thread + 4, thread + 4]
        assert [a[r * 32 + lane] for r in range(4)] == [
            (row, 4 * k) for row, k in zip(rows, columns, strict=True)
        ]
        assert [b[r * 32 + lane] for r in range(2)] == [
            (group, 4 * thread),
            (group, 4 * thread + 16),
        ]
        assert [c[r * 32 + lane] for r in range(4)] == [
            (group, 2 * thread),
            (group, 2 * thread + 1),
            (group + 8, 2 * thread),
            (group + 8, 2 * thread + 1),
        ]


def test_shared_memory_has_no_bank_conflicts(host):
    units = {(row, unit): host.swizzled(row, unit) for row in range(256) for unit in range(8)}
    assert sorted(units.values()) == list(range(0, 256 * 128, 16))

    def banks(places):
        return len({units[place] // 16 % 8 for place in places})

    for source in (host.a_sources(), host.b_sources()):  # ldmatrix, eight lanes at a time
        for row0 in range(0, 256, 16):
            for unit0 in range(0, 8, 2):
                for first in range(0, 32, 8):
                    lanes = source[first : first + 8]
                    assert banks((row0 + row, unit0 + unit) for row, unit in lanes) == 8
    for first in range(0, 256, 8):
        for unit in range(8):  # prepare: eight rows of one unit
            assert banks((first + row, unit) for row in range(8)) == 8
        assert banks((first, unit) for unit in range(8)) == 8  # the copies of one row


@pytest.mark.parametrize(("rows", "corner"), [(64, False), (128, False), (256, False), (256, True)])
def test_a_block_covers_its_elements_once(host, rows, corner):
    elements = host.gram_elements(rows, corner)
    assert len(set(elements)) == len(elements)
    if corner:
        wanted = {(row, column) for row in range(128, 256) for column in range(128)}
        assert set(elements) == wanted
    else:
        wanted = {(row, column) for row in range(rows) for column in range(row + 1)}
        assert wanted <= set(elements)
        assert len(elements) <= len(wanted) * (1 + 40 / rows)
        assert all(column < rows for _, column in elements)


@given(n=st.integers(4, 1300), num_sms=st.integers(1, 300))
def test_blocks_cover_the_lower_triangle_once(host, n, num_sms):
    covered = np.zeros((-(-n // 128), -(-n // 128)), dtype=int)  # panels of 128
    for first, second, count in host.plan_gram(n, 10, False, num_sms)["blocks"]:
        assert second == first + 128 and count == min(256, n - first)
        a = first // 128
        for i in range(a, min(a + 2, len(covered))):
            covered[i, a : i + 1] += 1
    for first, second, count in host.plan_gram(n, 10, True, num_sms)["blocks"]:
        assert first < second and count == max(128, min(256, 128 + n - second))
        if second < n:
            covered[second // 128, first // 128] += 1
    assert np.array_equal(covered, np.tril(np.ones_like(covered)))


@given(
    n=st.integers(4, 3000),
    stages=st.integers(1, 300_000),
    corner=st.booleans(),
    num_sms=st.integers(1, 300),
)
def test_splits_cover_k_once_and_are_short(host, n, stages, corner, num_sms):
    plan = host.plan_gram(n, stages, corner, num_sms)
    if not plan["blocks"]:
        assert corner and n <= 256
        return
    begins = [begin for begin, _ in plan["splits"]]
    ends = [end for _, end in plan["splits"]]
    assert begins == [0, *ends[:-1]] and ends[-1] == stages
    assert max(end - begin for begin, end in plan["splits"]) <= host.RUN_STAGES
    assert plan["at_once"] <= max(num_sms, 1)


def test_shared_memory_fits_every_gpu(host):
    small, middle, large, corner = host.shared_bytes()
    assert max(large, corner) <= 99 * 1024  # a block of compute capability 12.0
    assert 2 * (middle + 1024) <= 100 * 1024 and 2 * (small + 1024) <= 100 * 1024


def test_rounding_to_tf32(host):
    random = np.random.default_rng(0)
    values = random.standard_normal(1000).astype(np.float32)
    rounded = host.round_tf32(values.view(np.uint32)).view(np.float32)
    steps = 2.0 ** (np.frexp(values)[1] - 11).astype(np.float64)
    assert np.all(np.abs(rounded.astype(np.float64) - values) <= steps / 2)
    assert np.all(rounded.view(np.uint32) % 2**13 == 0)
    odd = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], dtype=np.float32)
    kept = host.round_tf32(odd.view(np.uint32)).view(np.float32)
    assert np.array_equal(kept, odd, equal_nan=True)
    everything = np.array([0x7FFFFFFF, 0xFFFFFFFF], dtype=np.uint32)  # the GPU's NaN
    assert np.isnan(host.round_tf32(everything).view(np.float32)).all()


def test_rounding_to_halves(host):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    scales = 2.0 ** random.integers(-30, 18, 20_000)
    values = (random.standard_normal(20_000) * scales).astype(np.float32)
    values[:6] = [math.inf, -math.inf, 0.0, 65519.996, 65520.0, -(2.0**-25)]
    tensor = torch.from_numpy(values)
    for bf16, dtype in ((True, torch.bfloat16), (False, torch.float16)):
        expected = tensor.to(dtype).view(torch.int16).numpy().view(np.uint16)
        assert np.array_equal(host.narrow(values, bf16), expected)
