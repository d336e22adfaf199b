"""Floating point as the PTX manual has it: one rounding, in the mode asked for.

float32 arithmetic that numpy rounds once is left to it; the rest is computed in float64 with the
sign of what is missing, and rounded from there.
"""

import numpy as np

F4, F8, U2, U4, I8 = np.float32, np.float64, np.uint16, np.uint32, np.int64
_TINY = F4(2.0**-126)


def flush(x):
    """Subnormal float32 numbers become zeros of their sign."""
    return np.where(np.abs(x) < _TINY, np.copysign(F4(0), x), x)


def saturate(x):
    """To [0, 1]; NaN to 0."""
    return np.where(x > 0, np.minimum(x, x.dtype.type(1)), x.dtype.type(0))


def relu(x):
    return np.where(x < 0, x.dtype.type(0), x)


def two_sum(a, b):
    """The float64 sum and what it lacks."""
    total = a + b
    other = total - a
    lacks = (a - (total - other)) + (b - other)
    return total, np.where(np.isfinite(lacks), lacks, 0.0)


def to_odd(total, lacks):
    """float64 whose last bit says that something was cut: rounds to any shorter type correctly."""
    bits = total.view(I8)
    need = (lacks != 0) & (bits & 1 == 0)
    step = np.where((lacks > 0) == (total > 0), 1, -1)
    return np.where(need, bits + step, bits).view(F8)


def sum_to_odd(a, b):
    return to_odd(*two_sum(np.asarray(a, F8), np.asarray(b, F8)))


def fma32(a, b, c):
    """a b + c, rounded once to nearest. A float64 product is exact; a sum is at risk of a second
    rounding only where its last 28 bits are zeros."""
    product = np.multiply(a, b, dtype=F8)
    total = product + c
    if (total.view(I8) & 0x0FFFFFFF == 0).any():
        total = sum_to_odd(product, np.broadcast_to(c, total.shape))
    return total.astype(F4)


def fma64(a, b, c):
    """a b + c, rounded once: Boldo and Melquiond 2008, by error-free products and sums and a sum
    rounded to odd. Near overflow or underflow, where these are not exact, in 80 bits."""
    high, low = _two_product(a, b)
    upper, lower = two_sum(c, low)
    whole, rest = two_sum(high, upper)
    out = np.where(high == 0, high + c, whole + sum_to_odd(lower, rest))  # -0 stays
    size = np.abs(a * b)
    safe = (size < 2.0**960) & ((size > 2.0**-900) | (a == 0) | (b == 0)) & (np.abs(c) < 2.0**960)
    safe &= (np.abs(a) < 2.0**960) & (np.abs(b) < 2.0**960)
    if np.all(safe):
        return out
    long = np.longdouble
    return np.where(safe, out, (np.asarray(a, long) * b + c).astype(F8))


def _two_product(a, b):
    """The float64 product and what it lacks: Dekker 1971."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halved(a), _halved(b)
    lacks = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return product, lacks


def _halved(x):
    far = x * 134217729.0  # 2^27 + 1
    high = far - (far - x)
    return high, x - high


def odd32(x):
    """float64 -> float32, rounded to odd."""
    near = x.astype(F4)
    bits = near.view(U4)
    wrong = (near.astype(F8) != x) & (bits & 1 == 0) & ~np.isnan(x)
    step = np.where(np.abs(near.astype(F8)) < np.abs(x), 1, -1).astype(np.int32).view(U4)
    return np.where(wrong, bits + step, bits).view(F4)


def directed(near, exact_above, exact_below, mode):
    """The neighbour that the mode wants of a number rounded to nearest.

    near: float32 or float64, or the bits of a half (uint16); exact_above: the true value is larger.
    """
    bits = near if near.dtype == U2 else near.view({4: U4, 8: np.uint64}[near.itemsize])
    one = bits.dtype.type(1)
    top = bits.dtype.type(1) << bits.dtype.type(8 * bits.itemsize - 1)
    negative = bits & top != 0
    down, up = bits - one, bits + one  # in size
    zero = bits & ~top == 0
    if mode == "rz":
        out = np.where(np.where(negative, exact_above, exact_below) & ~zero, down, bits)
    elif mode == "rm":
        lower = np.where(zero, top | one, np.where(negative, up, down))
        out = np.where(exact_below, lower, bits)
    elif mode == "rp":
        higher = np.where(zero, one, np.where(negative, down, up))
        out = np.where(exact_above, higher, bits)
    else:
        raise ValueError(mode)
    return out.view(near.dtype)


def round32(x, mode="rn", lacks=0.0):
    """float64, to which `lacks` is to be added, -> float32."""
    x = to_odd(x, np.broadcast_to(lacks, x.shape)) if np.any(lacks) else x
    near = x.astype(F4)
    if mode == "rn":
        return near
    wide = near.astype(F8)
    return directed(near, wide < x, wide > x, mode)


def add32(a, b, mode):
    total, lacks = two_sum(a.astype(F8), b.astype(F8))
    return round32(total, mode, lacks)


def fma32_mode(a, b, c, mode):
    total, lacks = two_sum(np.multiply(a, b, dtype=F8), np.asarray(c, F8))
    return round32(total, mode, lacks)


def div32(a, b, mode):
    wide = a.astype(F8) / b
    return round32(wide, mode, _rest(a.astype(np.longdouble) - wide.astype(np.longdouble) * b, b))


def sqrt32(a, mode):
    wide = np.sqrt(a.astype(F8))
    return round32(wide, mode, _rest(a - wide.astype(np.longdouble) ** 2, np.ones_like(wide)))


def _rest(left, divisor):
    """The sign of what a quotient lacks, as a tiny number."""
    rest = np.sign(left * np.sign(divisor)).astype(F8)
    return np.where(np.isfinite(rest), rest, 0.0)


def minimum(a, b, keep_nan=False):
    """fmin: the number where the other is NaN; -0 below +0."""
    return _extreme(a, b, np.fmin, np.minimum, keep_nan, True)


def maximum(a, b, keep_nan=False):
    return _extreme(a, b, np.fmax, np.maximum, keep_nan, False)


def _extreme(a, b, of_numbers, of_all, keep_nan, low):
    out = (of_all if keep_nan else of_numbers)(a, b)
    zeros = (a == 0) & (b == 0)
    if zeros.any():
        wanted = np.signbit(a) | np.signbit(b) if low else np.signbit(a) & np.signbit(b)
        zero = out.dtype.type(0)
        out = np.where(zeros, np.where(wanted, -zero, zero), out)
    return out


def from_bf16(bits):
    return (bits.astype(U4) << U4(16)).view(F4)


def from_f16(bits):
    return bits.view(np.float16).astype(F4)


def to_bf16(x, mode="rn"):
    """float32 or float64 -> bits."""
    single = odd32(x) if x.dtype == F8 else x
    bits = single.view(U4)
    half = U4(0x7FFF) + ((bits >> U4(16)) & U4(1)) if mode == "rn" else U4(0)
    out = ((bits + half) >> U4(16)).astype(U2)
    out = np.where(np.isnan(single), U2(0x7FFF), out)
    if mode in ("rn", "rz"):
        return out
    wide = from_bf16(out)
    return directed(out, wide < single, wide > single, mode)


def to_f16(x, mode="rn"):
    near = x.astype(np.float16)
    bits = np.where(np.isnan(x), U2(0x7FFF), near.view(U2))
    if mode == "rn":
        return bits
    wide = near.astype(F8)
    return directed(bits, wide < x, wide > x, mode)


def to_tf32(x, mode):
    """float32 -> float32 of 10 bits of fraction. rna: ties away from zero."""
    bits = x.view(U4)
    half = U4(0x1000) if mode == "rna" else U4(0xFFF) + ((bits >> U4(13)) & U4(1))
    if mode == "rz":
        half = U4(0)
    rounded = (bits + half) & U4(0xFFFFE000)
    return np.where(np.isfinite(x), rounded, np.where(np.isnan(x), U4(0x7FFFFFFF), bits)).view(F4)


def to_integer(x, kind, mode):
    """Rounded (rni, rzi, rmi, rpi) and saturated; NaN as the manual's table of cvt says."""
    whole = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}[mode](x)
    limits = np.iinfo(kind)
    low, high = x.dtype.type(limits.min), x.dtype.type(limits.max)
    # The largest number may round up to one outside.
    out = np.where((whole > low) & (whole < high), whole, 0).astype(kind)
    out = np.where(whole >= high, kind(limits.max), np.where(whole <= low, kind(limits.min), out))
    wide = x.dtype == F8 or limits.bits == 64
    undefined = 1 << (limits.bits - 1) if wide else 0
    return np.where(np.isnan(x), np.array(undefined, np.uint64).astype(kind), out)


def rcp64_approx(x):
    """Of the upper half of x's bits, in the upper half."""
    upper = (x.view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(F8)
    return ((1.0 / upper).view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(F8)
