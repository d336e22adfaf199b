"""The maths that host and device share: everything is covered once, and inverses are exact."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

HUGE = st.integers(0, 2**61 - 1)
NEAR_POWERS = st.builds(
    lambda power, offset: 2**power + offset, st.integers(31, 60), st.integers(-70, 70)
)


@given(n=st.integers(0, 60), diagonal=st.booleans())
def test_packed_triangle_is_covered_once_in_row_order(host, n, diagonal):
    pairs = [(i, j) for i in range(n) for j in range(i + 1 if diagonal else i)]
    assert host.packed_size(n, diagonal) == len(pairs)
    assert [host.packed_index(i, j, diagonal) for i, j in pairs] == list(range(len(pairs)))
    assert [host.packed_coordinate(k, diagonal) for k in range(len(pairs))] == pairs


@given(k=st.one_of(HUGE, NEAR_POWERS), diagonal=st.booleans())
def test_packed_pair_is_the_exact_inverse_far_out(host, k, diagonal):
    row, column = host.packed_coordinate(k, diagonal)
    assert 0 <= column <= (row if diagonal else row - 1)
    rows = row if diagonal else row - 1
    assert rows * (rows + 1) // 2 + column == k  # Python's integers do not overflow
    assert host.packed_index(row, column, diagonal) == k


@given(
    row=st.one_of(st.integers(1, 2**31 - 2), st.integers(2**27, 2**31 - 2)), diagonal=st.booleans()
)
def test_packed_pair_at_the_ends_of_a_far_row(host, row, diagonal):
    last = row if diagonal else row - 1
    first_index = host.packed_index(row, 0, diagonal)
    assert host.packed_coordinate(first_index, diagonal) == (row, 0)
    assert host.packed_coordinate(first_index + last, diagonal) == (row, last)
    assert host.packed_coordinate(first_index + last + 1, diagonal) == (row + 1, 0)


@given(n=st.integers(1, 3000), tile=st.integers(1, 300))
def test_lower_tiles_cover_the_lower_triangle_once(host, n, tile):
    rows = host.tile_rows(n, tile)
    assert (rows - 1) * tile < n <= rows * tile
    count = host.lower_tiles(n, tile)
    if count > 5000:
        return
    tiles = [host.lower_tile(index) for index in range(count)]
    assert tiles == [(row, column) for row in range(rows) for column in range(row + 1)]


@given(total=st.one_of(st.integers(0, 20_000), st.integers(0, 2**40)), data=st.data())
def test_runs_cover_k_once_in_order(host, total, data):
    length = data.draw(st.integers(max(1, total // 500), total + 2048), label="length")
    ranges = [host.run_range(total, length, i) for i in range(host.ceil_div(total, length))]
    assert [begin for begin, _ in ranges] == [0, *(end for _, end in ranges)][: len(ranges)]
    assert (ranges[-1][1] if ranges else 0) == total
    assert all(0 < end - begin <= length for begin, end in ranges)


@given(count=st.integers(0, 2**40), shares=st.integers(1, 300))
def test_shares_are_consecutive_and_even(host, count, shares):
    ranges = [host.share_range(count, shares, i) for i in range(shares)]
    assert [begin for begin, _ in ranges] == [0, *(end for _, end in ranges)][:shares]
    assert ranges[-1][1] == count
    sizes = [end - begin for begin, end in ranges]
    assert max(sizes) - min(sizes) <= 1 and sizes == sorted(sizes, reverse=True)


@given(
    rows=st.integers(1, 3000),
    columns=st.integers(1, 3000),
    k=st.integers(1, 2**34),
    lower=st.booleans(),
    limit=st.integers(1, 1024),
)
def test_product_plan_covers_the_result_in_bounded_workspace(host, rows, columns, k, lower, limit):
    columns = rows if lower else columns
    plan = host.plan_product(rows, columns, k, lower, limit)
    across, down = math.ceil(columns / host.TILE), math.ceil(rows / host.TILE)
    wanted = [(i, j) for i in range(down) for j in range(i + 1 if lower else across)]
    assert plan["tiles"] == wanted
    assert plan["runs"] == math.ceil(k / host.RUN)
    assert 1 <= plan["splits"] <= plan["runs"]
    assert 1 <= plan["per_launch"] <= len(wanted)
    assert plan["partials"] == plan["per_launch"] * plan["splits"] * host.TILE**2
    assert plan["splits"] * plan["per_launch"] <= limit


def test_runs_are_short_enough_for_fp32(host):
    assert host.RUN <= 1024  # of the product of two layers; 2,048 would do for the Gram matrix


def test_half_widens_exactly_for_every_bit_pattern(host):
    bits = np.arange(2**16, dtype=np.uint16)
    expected = bits.view(np.float16).astype(np.float32)
    widened = host.widen_f16(bits)
    assert np.array_equal(np.isnan(widened), np.isnan(expected))
    finite = ~np.isnan(expected)
    assert np.array_equal(widened[finite].view(np.uint32), expected[finite].view(np.uint32))


def test_bfloat16_widens_exactly_for_every_bit_pattern(host):
    torch = pytest.importorskip("torch")
    bits = np.arange(2**16, dtype=np.uint16)
    expected = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16).float().numpy()
    assert np.array_equal(host.widen_bf16(bits).view(np.uint32), expected.view(np.uint32))
