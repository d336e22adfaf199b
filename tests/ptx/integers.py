"""Integer instructions that numpy has no operator for; arrays are unsigned unless it is told."""

import numpy as np

U4, U8, I8 = np.uint32, np.uint64, np.int64


def shift_left(a, by):
    width = 8 * a.itemsize
    return np.where(by < width, a << np.minimum(by, width - 1).astype(a.dtype), a.dtype.type(0))


def shift_right(a, by):
    """Of a signed array: with copies of its sign."""
    width = 8 * a.itemsize
    shifted = a >> np.minimum(by, width - 1).astype(a.dtype)
    if a.dtype.kind == "i":
        return shifted
    return np.where(by < width, shifted, a.dtype.type(0))


def multiply_high(a, b):
    """The upper half of the product, of a's type."""
    bits = 8 * a.itemsize
    if bits < 64:
        wide = np.dtype(f"{a.dtype.kind}8")
        return (a.astype(wide) * b.astype(wide) >> wide.type(bits)).astype(a.dtype)
    if a.dtype.kind == "i":
        high = multiply_high(a.view(U8), b.view(U8))
        high = high - np.where(a < 0, b.view(U8), U8(0)) - np.where(b < 0, a.view(U8), U8(0))
        return high.view(I8)
    half, mask = U8(32), U8(0xFFFFFFFF)
    low = (a & mask) * (b & mask)
    one = (a >> half) * (b & mask)
    other = (a & mask) * (b >> half)
    carry = ((low >> half) + (one & mask) + (other & mask)) >> half
    return (a >> half) * (b >> half) + (one >> half) + (other >> half) + carry


def divide(a, b):
    """Toward zero; all ones where b is 0."""
    safe = np.where(b == 0, a.dtype.type(1), b)
    quotient = a // safe
    if a.dtype.kind == "i":
        quotient = quotient + ((quotient < 0) & (quotient * safe != a)).astype(a.dtype)
    return np.where(b == 0, ~a.dtype.type(0), quotient)


def remainder(a, b):
    return np.where(b == 0, a, a - divide(a, b) * b)


def saturated(exact, kind):
    """int64 -> kind."""
    limits = np.iinfo(kind)
    return np.clip(exact, limits.min, limits.max).astype(kind)


def lookup3(a, b, c, table):
    """lop3: bit by bit, bit 4a + 2b + c of the table."""
    out = np.zeros(1, a.dtype)
    for row in range(8):
        if table >> row & 1:
            term = a if row & 4 else ~a
            term = term & (b if row & 2 else ~b)
            out = out | (term & (c if row & 1 else ~c))
    return out


def permute(a, b, selector, mode):
    """prmt: four bytes of the eight of (b, a)."""
    whole = a.astype(U8) | b.astype(U8) << U8(32)
    selector = selector.astype(U8)
    low = selector & U8(3)
    out = np.zeros(1, U8)
    for place in range(4):
        if mode == "":
            nibble = selector >> U8(4 * place)
            source, sign = nibble & U8(7), nibble & U8(8) != 0
        else:
            source, sign = _PERMUTED[mode](low, place), None
        byte = whole >> (source * U8(8)) & U8(0xFF)
        if sign is not None:
            copies = np.where(byte & U8(0x80) != 0, U8(0xFF), U8(0))
            byte = np.where(sign, copies, byte)
        out = out | byte << U8(8 * place)
    return out.astype(U4)


_PERMUTED = {
    "f4e": lambda low, place: low + U8(place),
    "b4e": lambda low, place: (low - U8(place)) & U8(7),
    "rc8": lambda low, place: low,
    "ecl": lambda low, place: np.maximum(low, U8(place)),
    "ecr": lambda low, place: np.minimum(low, U8(place)),
    "rc16": lambda low, place: (low & U8(1)) * U8(2) + U8(place % 2),
}


def funnel(a, b, by, left, wrap):
    """shf: the upper (left) or lower half of (b, a), shifted."""
    by = (by & U4(31) if wrap else np.minimum(by, U4(32))).astype(U8)
    whole = b.astype(U8) << U8(32) | a
    if left:
        return (whole << by >> U8(32)).astype(U4)
    return (whole >> by).astype(U4)


def extract(a, start, length):
    """bfe; of a signed array the sign is copied."""
    width = 8 * a.itemsize
    unsigned = a.view(f"u{a.itemsize}")
    start, length = start & U4(0xFF), length & U4(0xFF)
    ones = _ones(length, unsigned.dtype)
    out = shift_right(unsigned, start) & ones
    if a.dtype.kind == "i":
        top = np.minimum(start + length - U4(1), U4(width - 1))
        top = np.where(length == 0, U4(0), top)
        sign = (shift_right(unsigned, top) & unsigned.dtype.type(1) != 0) & (length != 0)
        kept = _ones(np.minimum(length, np.where(start < width, U4(width) - start, U4(0))),
                     unsigned.dtype)  # fmt: skip
        out = np.where(sign, out | ~kept, out)
    return out.view(a.dtype)


def insert(a, b, start, length):
    """bfi: `length` bits of a over those of b from `start` on."""
    start, length = start & U4(0xFF), length & U4(0xFF)
    place = shift_left(_ones(length, a.dtype), start)
    return (b & ~place) | (shift_left(a, start) & place)


def _ones(length, kind):
    full = ~kind.type(0)
    width = 8 * kind.itemsize
    return np.where(length >= width, full, shift_left(np.ones(1, kind), length) - kind.type(1))


def leading_zeros(a):
    """clz, as uint32."""
    out = np.zeros(1, U4)
    left = a
    width = 8 * a.itemsize
    step = width // 2
    while step:
        none = left >> a.dtype.type(width - step) == 0
        out = out + np.where(none, U4(step), U4(0))
        left = np.where(none, left << a.dtype.type(step), left)
        step //= 2
    return out + (a == 0).astype(U4)


def find_leading(a, amount):
    """bfind: the highest bit that is set (signed: that is not the sign); all ones if none."""
    width = 8 * a.itemsize
    unsigned = a.view(f"u{a.itemsize}")
    if a.dtype.kind == "i":
        unsigned = np.where(a < 0, ~unsigned, unsigned)
    zeros = leading_zeros(unsigned)
    found = zeros if amount else U4(width - 1) - zeros
    return np.where(zeros == width, U4(0xFFFFFFFF), found)


def reverse(a):
    """brev."""
    out = np.zeros(1, a.dtype)
    width = 8 * a.itemsize
    for bit in range(width):
        out = out | (a >> a.dtype.type(bit) & a.dtype.type(1)) << a.dtype.type(width - 1 - bit)
    return out
