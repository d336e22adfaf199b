"""Integers and logic: each family of instructions -> Python source (translate.py). What floats have
too goes on to floating.py."""

import numpy as np

from ptx import integers
from ptx.floating import HALVES, of_type, refuse

NAMES = {"it": integers}


def _same_bits(type_):
    """Sums and products of signed numbers have the bits of unsigned ones."""
    return type_.replace("s", "u") if type_[0] == "s" else type_


def _wider(type_):
    return f"{type_[0]}{2 * int(type_[1:])}"


def _integer(template):
    def family(w, i):
        type_ = i.type
        if "sat" in i.op:
            args = [f"{w.read(x, 's32')}.astype(np.int64)" for x in i.operands[1:]]
            value = f"it.saturated({template.format(*args)}, np.int32)"
            return w.write(i.operands[0], value, "s32")
        refuse(i)
        type_ = _same_bits(type_)
        w.write(i.operands[0], template.format(*(w.read(x, type_) for x in i.operands[1:])), type_)

    return family


def _product(w, i):
    """mul and mad of integers: .lo, .hi, .wide."""
    refuse(i, "lo", "hi", "wide")
    type_, (to, a, b, *c) = i.type, i.operands
    if "wide" in i.op:
        wide = _wider(type_)
        kind = {"s": "int", "u": "uint"}[type_[0]] + wide[1:]
        value = f"{w.read(a, type_)}.astype(np.{kind}) * {w.read(b, type_)}.astype(np.{kind})"
        type_ = wide
    elif "hi" in i.op:
        value = f"it.multiply_high({w.read(a, type_)}, {w.read(b, type_)})"
    else:
        type_ = _same_bits(type_)
        value = f"{w.read(a, type_)} * {w.read(b, type_)}"
    w.write(to, f"({value})" + (f" + {w.read(c[0], type_)}" if c else ""), type_)


def _typed(template):
    """Of the type's own sign."""

    def family(w, i):
        refuse(i)
        args = [w.read(x, i.type) for x in i.operands[1:]]
        w.write(i.operands[0], template.format(*args), i.type)

    return family


def _counted(template):
    """The result is .u32 whatever the type."""

    def family(w, i):
        refuse(i, "shiftamt")
        w.write(
            i.operands[0], template.format(w.read(i.operands[1], i.type), "shiftamt" in i.op), "u32"
        )

    return family


def _shift(template):
    def family(w, i):
        refuse(i)
        type_ = i.type if i.op[0] == "shr" else _same_bits(i.type)
        a, by = w.read(i.operands[1], type_), w.read(i.operands[2], "u32")
        w.write(i.operands[0], template.format(a, by), type_)

    return family


def _fields(template, plain=2):
    """bfe, bfi: `plain` operands of the type, then start and length."""

    def family(w, i):
        refuse(i)
        args = [w.read(x, i.type) for x in i.operands[1 : 1 + plain]]
        args += [w.read(x, "u32") for x in i.operands[1 + plain :]]
        w.write(i.operands[0], template.format(*args), i.type)

    return family


def _lop3(w, i):
    refuse(i)
    to, a, b, c, table = i.operands
    args = ", ".join(w.read(x, "u32") for x in (a, b, c))
    w.write(to, f"it.lookup3({args}, {int(table, 0)})", "u32")


def _prmt(w, i):
    mode = next((word for word in i.op[1:] if word not in ("b32",)), "")
    args = ", ".join(w.read(x, "u32") for x in i.operands[1:])
    w.write(i.operands[0], f"it.permute({args}, {mode!r})", "u32")


def _shf(w, i):
    refuse(i, "l", "r", "wrap", "clamp")
    args = ", ".join(w.read(x, "u32") for x in i.operands[1:])
    w.write(i.operands[0], f"it.funnel({args}, {'l' in i.op}, {'wrap' in i.op})", "u32")


def _dot(w, i):
    """dp4a."""
    a_type, b_type = i.op[1], i.op[2]
    to, a, b, c = i.operands
    left, right, third = w.read(a, "u32"), w.read(b, "u32"), w.read(c, "u32")
    kinds = [{"u32": "np.uint8", "s32": "np.int8"}[t] for t in (a_type, b_type)]
    terms = [
        f"({left} >> np.uint32({s})).astype(np.uint8).view({kinds[0]}).astype(np.int32)"
        f" * ({right} >> np.uint32({s})).astype(np.uint8).view({kinds[1]}).astype(np.int32)"
        for s in (0, 8, 16, 24)
    ]
    w.write(to, f"({' + '.join(terms)}).view(np.uint32) + {third}", "u32")


def _by_type(of_integers, name):
    """Families that integers and floats share."""

    def family(w, i):
        if i.type in ("f32", "f64", *HALVES):
            of_type(w, i, name)
        else:
            of_integers(w, i)

    return family


FAMILIES = {
    "add": _by_type(_integer("({0} + {1})"), "add"),
    "sub": _by_type(_integer("({0} - {1})"), "sub"),
    "mul": _by_type(_product, "mul"),
    "mad": _by_type(_product, "fma"),
    "div": _by_type(_typed("it.divide({0}, {1})"), "div"),
    "rem": _typed("it.remainder({0}, {1})"),
    "min": _by_type(_typed("np.minimum({0}, {1})"), "min"),
    "max": _by_type(_typed("np.maximum({0}, {1})"), "max"),
    "abs": _by_type(_typed("np.abs({0})"), "abs"),
    "neg": _by_type(_typed("(-{0})"), "neg"),
    "sad": _typed("where({0} > {1}, {0} - {1}, {1} - {0}) + {2}"),
    "and": _typed("({0} & {1})"),
    "or": _typed("({0} | {1})"),
    "xor": _typed("({0} ^ {1})"),
    "not": _typed("(~{0})"),
    "cnot": _typed("({0} == 0).astype({0}.dtype)"),
    "shl": _shift("it.shift_left({0}, {1})"),
    "shr": _shift("it.shift_right({0}, {1})"),
    "shf": _shf,
    "lop3": _lop3,
    "prmt": _prmt,
    "bfe": _fields("it.extract({0}, {1}, {2})", plain=1),
    "bfi": _fields("it.insert({0}, {1}, {2}, {3})"),
    "bfind": _counted("it.find_leading({0}, {1})"),
    "clz": _counted("it.leading_zeros({0})"),
    "popc": _counted("np.bitwise_count({0}).astype(np.uint32)"),
    "brev": _typed("it.reverse({0})"),
    "dp4a": _dot,
}
assert np.bitwise_count  # numpy 2
