"""Single instructions against numpy, plain Python and known values."""

import math
from fractions import Fraction

import numpy as np
import pytest

from ptx.fault import Unknown
from ptx.single import execute

U2, U4, U8, I4, I8 = np.uint16, np.uint32, np.uint64, np.int32, np.int64
F4, F8 = np.float32, np.float64
RNG = np.random.default_rng(0)


def bits(kind, count=256):
    """Random numbers of all bits, with the corners among them."""
    width = 8 * np.dtype(kind).itemsize
    corners = [0, 1, 2, (1 << width) - 1, 1 << (width - 1), (1 << (width - 1)) - 1, 31, 32, 33]
    values = RNG.integers(0, 1 << width, count, dtype=U8, endpoint=False) if width < 64 else (
        RNG.integers(0, 2**64, count, dtype=U8))  # fmt: skip
    values[: len(corners)] = corners
    return RNG.permutation(values).astype(f"u{width // 8}").view(kind)


def floats(kind=F4, count=256):
    """Random numbers of very different sizes, with the corners among them."""
    values = RNG.standard_normal(count) * 2.0 ** RNG.integers(-40, 40, count)
    values[:12] = [0, -0.0, math.inf, -math.inf, math.nan, 1, -1, 2**-149, 2**-130, 2**127, 0.5, 3]
    with np.errstate(over="ignore"):
        return RNG.permutation(values).astype(kind)


def run(body, inputs, *outputs):
    return execute(body, inputs, outputs, threads=256)


# ---- integers


@pytest.mark.parametrize(
    ("instruction", "of"),
    [
        ("add.u32", lambda a, b: a + b),
        ("sub.s32", lambda a, b: a - b),
        ("mul.lo.s32", lambda a, b: a * b),
        ("mul.hi.u32", lambda a, b: a * b >> 32),
        ("min.u32", min),
        ("max.u32", max),
        ("and.b32", lambda a, b: a & b),
        ("or.b32", lambda a, b: a | b),
        ("xor.b32", lambda a, b: a ^ b),
        ("shl.b32", lambda a, b: a << b if b < 32 else 0),
        ("shr.u32", lambda a, b: a >> b if b < 32 else 0),
        ("div.u32", lambda a, b: a // b if b else 0xFFFFFFFF),
        ("rem.u32", lambda a, b: a % b if b else a),
    ],
)
def test_unsigned(instruction, of):
    a, b = bits(U4), np.where(RNG.random(256) < 0.5, bits(U4) % 40, bits(U4)).astype(U4)
    [found] = run(f"{instruction} <a>, <0>, <1>;", [a, b], U4)
    assert found.tolist() == [
        of(x, y) & 0xFFFFFFFF for x, y in zip(a.tolist(), b.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("instruction", "of"),
    [
        ("mul.hi.s32", lambda a, b: a * b >> 32),
        ("min.s32", min),
        ("max.s32", max),
        ("shr.s32", lambda a, b: a >> min(b & 0xFFFFFFFF, 31)),
        ("div.s32", lambda a, b: int(Fraction(a, b)) if b else -1),
        ("rem.s32", lambda a, b: a - b * int(Fraction(a, b)) if b else a),
        ("add.sat.s32", lambda a, b: max(-(2**31), min(2**31 - 1, a + b))),
    ],
)
def test_signed(instruction, of):
    a, b = bits(I4), np.where(RNG.random(256) < 0.5, bits(I4) % 40 - 20, bits(I4)).astype(I4)
    [found] = run(f"{instruction} <a>, <0>, <1>;", [a, b], I4)
    wanted = [of(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert found.tolist() == np.array(wanted, I8).astype(I4).tolist()


def test_products_of_64_bits():
    a, b, c = bits(U8), bits(U8), bits(U8)
    [low, high] = run("mul.lo.u64 <a>, <0>, <1>; mul.hi.u64 <b>, <0>, <1>;", [a, b], U8, U8)
    [signed] = run("mul.hi.s64 <a>, <0>, <1>;", [a, b], I8)
    [sums] = run("mad.lo.u64 <a>, <0>, <1>, <2>;", [a, b, c], U8)
    for i in range(256):
        product = int(a[i]) * int(b[i])
        assert int(low[i]) == product % 2**64 and int(high[i]) == product >> 64
        assert int(signed[i]) == int(a.view(I8)[i]) * int(b.view(I8)[i]) >> 64
        assert int(sums[i]) == (product + int(c[i])) % 2**64


def test_wide_products():
    a, b, c = bits(I4), bits(I4), bits(I8)
    [found] = run("mad.wide.s32 <a>, <0>, <1>, <2>;", [a, b, c], I8)
    with np.errstate(over="ignore"):
        assert np.array_equal(found, a.astype(I8) * b + c)
    [found] = run("mul.wide.u32 <a>, <0>, <1>;", [a.view(U4), b.view(U4)], U8)
    assert np.array_equal(found, a.view(U4).astype(U8) * b.view(U4))


def test_bits_are_counted_found_and_turned():
    a = bits(U4)
    [ones, zeros, top, turned] = run(
        "popc.b32 <a>, <0>; clz.b32 <b>, <0>; bfind.u32 <c>, <0>; brev.b32 <d>, <0>;",
        [a],
        *[U4] * 4,
    )
    for i, x in enumerate(a.tolist()):
        assert ones[i] == x.bit_count() and zeros[i] == 32 - x.bit_length()
        assert int(top[i]) == (x.bit_length() - 1) % 2**32
        assert int(turned[i]) == int(f"{x:032b}"[::-1], 2)


@pytest.mark.parametrize("table", [0x80, 0xFE, 0x96, 0xE8, 0xCA, 0x1B])
def test_lop3(table):
    a, b, c = bits(U4), bits(U4), bits(U4)
    [found] = run(f"lop3.b32 <a>, <0>, <1>, <2>, {table};", [a, b, c], U4)
    for x, y, z, w in zip(*(array.tolist() for array in (a, b, c, found)), strict=True):
        for bit in range(32):
            row = (x >> bit & 1) << 2 | (y >> bit & 1) << 1 | z >> bit & 1
            assert w >> bit & 1 == table >> row & 1


def test_prmt():
    a, b, selector = bits(U4), bits(U4), bits(U4)
    [found, rotated] = run(
        "prmt.b32 <a>, <0>, <1>, <2>; prmt.b32.f4e <b>, <0>, <1>, <2>;", [a, b, selector], U4, U4
    )
    for x, y, s, w, r in zip(*(v.tolist() for v in (a, b, selector, found, rotated)), strict=True):
        eight = (y << 32 | x).to_bytes(8, "little")
        wanted = []
        for place in range(4):
            nibble = s >> 4 * place & 15
            byte = eight[nibble & 7]
            wanted.append(255 * (byte >> 7) if nibble & 8 else byte)
        assert w.to_bytes(4, "little") == bytes(wanted)
        assert r.to_bytes(4, "little") == eight[s & 3 : (s & 3) + 4]


def test_fields_and_funnels():
    a, b = bits(U4), bits(U4)
    start, length = (RNG.integers(0, 40, 256).astype(U4) for _ in range(2))
    [out, signed, put, left, right] = run(
        "bfe.u32 <a>, <0>, <2>, <3>; bfe.s32 <b>, <0>, <2>, <3>; bfi.b32 <c>, <0>, <1>, <2>, <3>;"
        "shf.l.wrap.b32 <d>, <0>, <1>, <2>; shf.r.clamp.b32 <e>, <0>, <1>, <2>;",
        [a, b, start, length], U4, I4, U4, U4, U4,
    )  # fmt: skip
    for i in range(256):
        x, y, s, n = int(a[i]), int(b[i]), int(start[i]), int(length[i])
        field = x >> s & (1 << n) - 1
        assert out[i] == field
        kept = min(n, max(32 - s, 0))
        top = min(s + n - 1, 31) if n else 0
        negative = n and x >> top & 1
        assert signed[i] == (field - (1 << kept) if negative else field), (x, s, n)
        place = ((1 << n) - 1) << s & 0xFFFFFFFF
        assert put[i] == (y & ~place | x << s & place)
        assert left[i] == ((y << 32 | x) << (s & 31) >> 32) & 0xFFFFFFFF
        assert right[i] == ((y << 32 | x) >> min(s, 32)) & 0xFFFFFFFF


# ---- comparisons


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_comparisons(name):
    of = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}[name]
    a, b = floats(), np.where(RNG.random(256) < 0.3, 1, floats()).astype(F4)
    ordered, either, less = run(
        f"setp.{name}.f32 %p1, <0>, <1>; selp.u32 <a>, 1, 0, %p1; setp.{name}u.f32 %p2, <0>, <1>;"
        f"selp.u32 <b>, 1, 0, %p2; setp.{name}.and.s32 %p3|%p4, <2>, 5, %p1;"
        "selp.u32 <c>, 1, 0, %p4;",
        [a, b, np.arange(-120, 136, dtype=I4)], U4, U4, U4,
    )  # fmt: skip
    for i in range(256):
        nan = math.isnan(a[i]) or math.isnan(b[i])
        holds = eval(f"x {of} y", {"x": a[i], "y": b[i]})
        assert ordered[i] == (holds and not nan) and either[i] == (holds or nan)
        assert less[i] == (not eval(f"{i - 120} {of} 5") and ordered[i])


# ---- an instruction that is not known is an error


@pytest.mark.parametrize(
    "body",
    [
        "tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [x, {%f1, %f2}];",
        "bar.sync 1;",
        "add.rz.f64 %fd1, %fd2, %fd3;",
        "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%r1,%r2}, {%r1,%r2,%r3,%r4}, "
        "{%r5,%r6}, {%r7,%r8};",
        "ld.global.strange.f32 %f1, [%rd0];",
        "call f;",
        "add.cc.u32 %r1, %r2, %r3;",
        "mov.u32 %r1, nowhere;",
        "min.xorsign.abs.f16x2 %r1, %r2, %r3;",
        "add.ftz.f16x2 %r1, %r2, %r3;",
        "fma.rn.relu.f32 %f1, %f2, %f3, %f4;",
        "bar.red.popc.u32 %r1, 0, %p1;",
        "atom.global.add.noftz.bf16x2 %r1, [%rd1], %r2;",
    ],
)
def test_what_is_not_known_is_named(body):
    with pytest.raises(Unknown, match=body.split()[0].split(".")[0] + "|nowhere"):
        execute(body)
