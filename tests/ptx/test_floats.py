"""Floating point instructions: bit for bit, by exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest

from ptx import floats as arithmetic
from ptx.single import execute

U2, U4, F4, F8 = np.uint16, np.uint32, np.float32, np.float64
RNG = np.random.default_rng(1)
MODES = ["rn", "rz", "rm", "rp"]
# Of a type: bits of the fraction, the least exponent, the largest number.
TYPES = {
    "f32": (23, -126, float(np.finfo(F4).max)),
    "bf16": (7, -126, 2.0**127 * (2 - 2.0**-7)),
    "f16": (10, -14, 65504.0),
}


def exactly(value: Fraction, type_: str, mode: str) -> float:
    """The value rounded: by the definition of the mode, with Python's fractions."""
    digits, least, largest = TYPES[type_]
    if value == 0:
        return 0.0
    exponent = math.floor(math.log2(abs(value)))
    while Fraction(2) ** exponent > abs(value):
        exponent -= 1
    while Fraction(2) ** (exponent + 1) <= abs(value):
        exponent += 1
    step = Fraction(2) ** (max(exponent, least) - digits)
    scaled = value / step
    whole = {
        "rn": round,  # ties to even
        "rz": math.trunc,
        "rm": math.floor,
        "rp": math.ceil,
    }[mode](scaled)
    rounded = whole * step
    if abs(rounded) > largest:
        away = mode == "rn" or (mode == "rp" and value > 0) or (mode == "rm" and value < 0)
        return math.copysign(math.inf if away else largest, value)
    return float(rounded)


def finite(count=256, spread=30):
    return (RNG.standard_normal(count) * 2.0 ** RNG.integers(-spread, spread, count)).astype(F4)


def same(found, wanted):
    found, wanted = np.asarray(found, F8), np.asarray(wanted, F8)
    assert np.array_equal(found, wanted, equal_nan=True), (
        found[found != wanted],
        wanted[found != wanted],
    )


@pytest.mark.parametrize("mode", MODES)
def test_arithmetic(mode):
    a, b = finite(), finite()
    b[:128] = a[:128] * F4(2**-24) * RNG.integers(-3, 4, 128)  # sums near and at ties
    b[b == 0] = 1
    c = finite()
    c[::2] = (-a.astype(F8) * b).astype(F4)[::2]  # what is left of a product
    total, product, quotient, root, fused = execute(
        f"add.{mode}.f32 <a>, <0>, <1>; mul.{mode}.f32 <b>, <0>, <1>; div.{mode}.f32 <c>, <0>, <1>;"
        f"abs.f32 %f1, <0>; sqrt.{mode}.f32 <d>, %f1; fma.{mode}.f32 <e>, <0>, <1>, <2>;",
        [a, b, c], [F4] * 5, threads=256,
    )  # fmt: skip
    x, y, z = ([Fraction(float(v)) for v in array] for array in (a, b, c))
    pairs = list(zip(x, y, z, strict=True))
    same(total, [exactly(p + q, "f32", mode) for p, q, _ in pairs])
    same(product, [exactly(p * q, "f32", mode) for p, q, _ in pairs])
    same(quotient, [exactly(p / q, "f32", mode) for p, q, _ in pairs])
    same(fused, [exactly(p * q + r, "f32", mode) for p, q, r in pairs])
    for found, value in zip(root, x, strict=True):
        low, high = Fraction(float(found)), abs(value)
        if mode in ("rz", "rm"):
            above = Fraction(float(np.nextafter(found, F4(np.inf))))
            assert low**2 <= high < above**2
        elif mode == "rp":
            assert low**2 >= high > Fraction(float(np.nextafter(found, F4(0)))) ** 2


def test_fma_is_rounded_once():
    """Products whose sum lies next to the middle of two floats: two roundings go wrong."""
    a = np.array([1 + 2.0**-12, 1 + 2.0**-12, 1 + 2.0**-23], F4)
    b = np.array([1 + 2.0**-12, 1 + 2.0**-12, 1 + 2.0**-23], F4)
    c = np.array([2.0**-60, -(2.0**-60), 2.0**40], F4)
    found = arithmetic.fma32(a, b, c)
    wanted = [
        exactly(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)), "f32", "rn")
        for x, y, z in zip(a, b, c, strict=True)
    ]
    same(found, wanted)
    assert found[0] != found[1]


def test_fma_of_doubles_is_rounded_once():
    a, b = (RNG.standard_normal(512) * 2.0 ** RNG.integers(-90, 90, 512) for _ in range(2))
    c = -(a * b)  # what is left is the product's rounding error
    c[256:] = RNG.standard_normal(256) * np.abs(c[256:]) * 2.0 ** RNG.integers(-60, 60, 256)
    b[-4:], a[-4:], c[-4:] = 1, [0, -0.0, np.inf, np.nan], [0, -0.0, 1, 1]
    [found] = execute("fma.rn.f64 <a>, <0>, <1>, <2>;", [a, b, c], [F8], threads=512)
    wanted = [  # Python divides integers, and so turns fractions into floats, with one rounding
        float(Fraction(x) * Fraction(y) + Fraction(z))
        for x, y, z in zip(a[:-4].tolist(), b[:-4].tolist(), c[:-4].tolist(), strict=True)
    ]
    assert np.array_equal(found[:-4], wanted)
    same(found[-4:], [0, -0.0, np.inf, np.nan])
    assert np.signbit(found[-3]) and not np.signbit(found[-4])


@pytest.mark.parametrize("mode", MODES)
def test_doubles_become_floats(mode):
    values = RNG.standard_normal(256) * 2.0 ** RNG.integers(-160, 130, 256)
    values[:4] = [1 + 2.0**-24, 1 + 2.0**-24 + 2.0**-50, 1e300, -1e300]
    [found] = execute(f"cvt.{mode}.f32.f64 <a>, <0>;", [values], [F4], threads=256)
    same(found, [exactly(Fraction(float(v)), "f32", mode) for v in values])


@pytest.mark.parametrize("mode", ["rn", "rz"])
@pytest.mark.parametrize("type_", ["bf16", "f16"])
def test_floats_become_halves(type_, mode):
    values = (RNG.standard_normal(256) * 2.0 ** RNG.integers(-30, 20, 256)).astype(F4)
    values[:6] = [1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-11, 1e30, 65519.996, 65520.0]
    [one, two] = execute(
        f"cvt.{mode}.{type_}.f32 <a>, <0>; cvt.{mode}.{type_}x2.f32 <b>, <0>, <1>;",
        [values, values[::-1]], [U2, U4], threads=256,
    )  # fmt: skip
    widen = arithmetic.from_bf16 if type_ == "bf16" else arithmetic.from_f16
    wanted = [exactly(Fraction(float(v)), type_, mode) for v in values]
    same(widen(one), wanted)
    same(widen((two >> U4(16)).astype(U2)), wanted)  # the first goes to the upper half
    same(widen(two.astype(U2)), wanted[::-1])


def test_known_conversions():
    values = np.array([1.5, 2.5, -1.5, -0.5, 3e9, -3e9, np.nan, np.inf] * 4, F4)
    near, down, up, cut, unsigned = execute(
        "cvt.rni.s32.f32 <a>, <0>; cvt.rmi.s32.f32 <b>, <0>; cvt.rpi.s32.f32 <c>, <0>;"
        "cvt.rzi.s32.f32 <d>, <0>; cvt.rzi.u32.f32 <e>, <0>;",
        [values], [np.int32] * 4 + [U4],
    )  # fmt: skip
    most, least = 2**31 - 1, -(2**31)
    assert near[:8].tolist() == [2, 2, -2, 0, most, least, 0, most]
    assert down[:8].tolist() == [1, 2, -2, -1, most, least, 0, most]
    assert up[:8].tolist() == [2, 3, -1, 0, most, least, 0, most]
    assert cut[:8].tolist() == [1, 2, -1, 0, most, least, 0, most]
    assert unsigned[:8].tolist() == [1, 2, 0, 0, 3000000000, 0, 0, 2**32 - 1]


def test_integers_become_floats_and_each_other():
    values = np.array([2**24 + 1, -(2**24) - 3, 2**31 - 1, -1] * 8, np.int32)
    single, long, byte, wide = execute(
        "cvt.rn.f32.s32 <a>, <0>; cvt.s64.s32 <b>, <0>; cvt.s32.s8 <c>, <0>; cvt.u64.u32 <d>, <0>;",
        [values], [F4, np.int64, np.int32, np.uint64],
    )  # fmt: skip
    same(single, values.astype(F8).astype(F4))
    assert np.array_equal(long, values) and np.array_equal(wide, values.view(U4))
    assert np.array_equal(byte, values.astype(np.int8))


def test_tf32_rounds_ties_away():
    values = np.array([1 + 2.0**-11, -1 - 2.0**-11, 1 + 2.0**-12, 1 + 3 * 2.0**-11] * 8, F4)
    [found] = execute("cvt.rna.tf32.f32 <a>, <0>;", [values], [U4])
    same(found.view(F4)[:4], [1 + 2.0**-10, -1 - 2.0**-10, 1, 1 + 2 * 2.0**-10])


@pytest.mark.parametrize("type_", ["bf16", "f16"])
def test_arithmetic_of_two_halves(type_):
    narrow = arithmetic.to_bf16 if type_ == "bf16" else arithmetic.to_f16
    widen = arithmetic.from_bf16 if type_ == "bf16" else arithmetic.from_f16
    a, b, c = (narrow(finite(512, 5)).reshape(256, 2) for _ in range(3))
    pack = [np.ascontiguousarray(x).view(U4)[:, 0] for x in (a, b, c)]
    total, less, product, fused, low, high = execute(
        f"add.rn.{type_}x2 <a>, <0>, <1>; sub.rn.{type_}x2 <b>, <0>, <1>;"
        f"mul.rn.{type_}x2 <c>, <0>, <1>; fma.rn.{type_}x2 <d>, <0>, <1>, <2>;"
        f"min.{type_}x2 <e>, <0>, <1>; max.{type_}x2 <f>, <0>, <1>;",
        pack[:2] and pack, [U4] * 5 + [U4], threads=256,
    )[:6]  # fmt: skip
    x, y, z = ([Fraction(float(v)) for v in widen(part).ravel()] for part in (a, b, c))
    results = [widen(r.view(U2)) for r in (total, less, product, fused, low, high)]
    for found, of in zip(
        results,
        [lambda p, q, r: p + q, lambda p, q, r: p - q, lambda p, q, r: p * q,
         lambda p, q, r: p * q + r, lambda p, q, r: min(p, q), lambda p, q, r: max(p, q)],
        strict=True,
    ):  # fmt: skip
        same(found, [exactly(of(*v), type_, "rn") for v in zip(x, y, z, strict=True)])


def test_least_and_largest_of_what_is_no_number():
    a = np.array([np.nan, 1, np.nan, 0.0] * 8, F4)
    b = np.array([2, np.nan, np.nan, -0.0] * 8, F4)
    low, high, kept = execute(
        "min.f32 <a>, <0>, <1>; max.f32 <b>, <0>, <1>; min.NaN.f32 <c>, <0>, <1>;",
        [a, b], [F4] * 3,
    )  # fmt: skip
    same(low[:3], [2, 1, np.nan])
    same(kept[:3], [np.nan] * 3)
    assert np.signbit(low[3]) and not np.signbit(high[3])


def test_flushing_and_approximations():
    tiny = np.full(32, 2.0**-130, F4)
    flushed, kept, power, root = execute(
        "mul.ftz.f32 <a>, <0>, 0f3F800000; mul.f32 <b>, <0>, 0f3F800000;"
        "ex2.approx.ftz.f32 <c>, <1>; sqrt.approx.ftz.f32 <d>, <1>;",
        [tiny, np.full(32, 5, F4)], [F4] * 4,
    )  # fmt: skip
    assert flushed[0] == 0 and kept[0] == 2.0**-130 and power[0] == 32
    assert root[0] == pytest.approx(math.sqrt(5), rel=1e-7)
