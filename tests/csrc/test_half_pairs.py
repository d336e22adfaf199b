"""Two halves in a register: what the GPU's instructions do with them, to the bit, on the host."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

FORMATS = {"bf16": (8, -133, 128), "f16": (11, -24, 16)}  # digits, least exponent, first too large
SPECIAL = {
    "bf16": [0x0000, 0x8000, 0x0001, 0x8001, 0x007F, 0x0080, 0x3F80, 0xBF80, 0x7F7F, 0xFF7F]
    + [0x7F80, 0xFF80, 0x7FFF, 0x7FC0, 0xFFC1],
    "f16": [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF]
    + [0x7C00, 0xFC00, 0x7FFF, 0x7E00, 0xFE01],
}
NAN = 0x7FFF  # of both types, as the GPU gives it


def value(bits, kind):
    """A float: exact."""
    if kind == "bf16":
        return float(np.array(bits << 16, dtype=np.uint32).view(np.float32))
    return float(np.array(bits, dtype=np.uint16).view(np.float16))


def rounded(exact, kind):
    """The bits of the number nearest to a fraction that is not 0, ties to even."""
    digits, least, too_large = FORMATS[kind]
    sign, size = (0x8000 if exact < 0 else 0), abs(exact)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    ulp = Fraction(2) ** max(exponent - digits + 1, least)
    whole = round(size / ulp)  # Python rounds ties to even
    if whole * ulp >= Fraction(2) ** too_large:
        return sign | (0x7F80 if kind == "bf16" else 0x7C00)
    if whole < 2 ** (digits - 1):
        return sign | whole  # subnormal: ulp is the least
    steps = (ulp / Fraction(2) ** least).numerator.bit_length() - 1
    return sign | (whole + (steps << (digits - 1)))


def sum_of(a, b, kind, minus):
    x, y = value(a, kind), value(b, kind)
    y = -y if minus else y
    total = x + y
    if not np.isfinite(total) and not (np.isfinite(x) and np.isfinite(y)):
        infinite = 0x7F80 if kind == "bf16" else 0x7C00
        return NAN if np.isnan(total) else infinite | (0x8000 if total < 0 else 0)
    exact = Fraction(x) + Fraction(y)
    if exact == 0:
        return 0x8000 if np.signbit(x) and np.signbit(y) else 0
    return rounded(exact, kind)


def both(host, a, b, kind):
    a, b = np.array(a, dtype=np.uint32), np.array(b, dtype=np.uint32)
    first, second = a | b << 16, b | a << 16  # each operation sees both orders
    for run, minus in ((host.add_pairs, False), (host.subtract_pairs, True)):
        got = run(first, second, kind == "bf16")
        expected = [
            sum_of(x, y, kind, minus) | sum_of(y, x, kind, minus) << 16
            for x, y in zip(a.tolist(), b.tolist(), strict=True)
        ]
        assert got.tolist() == expected


@pytest.mark.parametrize("kind", list(FORMATS))
def test_special_numbers(host, kind):
    a, b = zip(*[(a, b) for a in SPECIAL[kind] for b in SPECIAL[kind]], strict=True)
    both(host, a, b, kind)


@given(
    kind=st.sampled_from(list(FORMATS)),
    a=st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=50),
    near=st.lists(st.integers(-600, 600), min_size=50, max_size=50),
)
def test_sums_and_differences_are_rounded_once(host, kind, a, near):
    both(host, a, [(x + d) & 0xFFFF for x, d in zip(a, near, strict=False)], kind)
    both(host, a, a[::-1], kind)


def test_matrices_as_the_manual_loads_them(host):
    """PTX ISA, ldmatrix: thread l has elements 2 (l%4), 2 (l%4) + 1 of row l/4; .trans: of column
    l/4, rows 2 (l%4), 2 (l%4) + 1. Matrix i is in register i."""
    rows = np.arange(256, dtype=np.uint16).reshape(32, 8)
    plain, transposed = host.loaded(rows, False), host.loaded(rows, True)
    for lane in range(32):
        for i in range(4):
            matrix = rows[8 * i : 8 * i + 8].astype(np.uint32)
            group, pair = lane // 4, 2 * (lane % 4)
            assert plain[lane, i] == matrix[group, pair] | matrix[group, pair + 1] << 16
            assert transposed[lane, i] == matrix[pair, group] | matrix[pair + 1, group] << 16
