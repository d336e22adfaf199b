"""Arithmetic, logic and comparisons: each family of instructions -> Python source (translate.py)."""

import numpy as np

from ptx import floats, integers
from ptx.fault import Unknown

NAMES = {"fl": floats, "it": integers}
_MODES = ("rn", "rz", "rm", "rp")
_HALVES = ("f16", "f16x2", "bf16", "bf16x2")
_FLOATS = ("f32", "f64", *_HALVES)


def _modifiers(i):
    return i.op[1:-1]


def _mode(i):
    return next((word for word in i.op if word in _MODES), "rn")


def _refuse(i, *known):
    """Modifiers that the family does not know."""
    for word in _modifiers(i):
        if word not in known:
            raise Unknown(f"{i.place}: modifier .{word} of {'.'.join(i.op)}")


# ---- two halves in a register, computed in float64 and rounded once


def _halves(w, operand, type_):
    """Expressions of the numbers (float32) that a half or a pair of halves holds."""
    widen = "fl.from_bf16" if type_.startswith("bf16") else "fl.from_f16"
    if not type_.endswith("x2"):
        return [f"{widen}({w.read(operand, 'u16')})"]
    own = w.fresh()
    w.line(f"{own} = {w.read(operand, 'u32')}")
    return [
        f"{widen}({own}.astype(np.uint16))",
        f"{widen}(({own} >> np.uint32(16)).astype(np.uint16))",
    ]


def _write_halves(w, operand, values, type_, mode="rn"):
    """Rounds expressions (float32 or float64) to the type."""
    narrow = "fl.to_bf16" if type_.startswith("bf16") else "fl.to_f16"
    bits = [f"{narrow}({value}, {mode!r})" for value in values]
    if len(bits) == 1:
        w.write(operand, bits[0], "u16")
    else:
        both = f"{bits[0]}.astype(np.uint32) | {bits[1]}.astype(np.uint32) << np.uint32(16)"
        w.write(operand, both, "u32")


def _half_operation(template):
    """template of a, b, c: expressions of float64 arrays."""

    def family(w, i):
        _refuse(i, "rn", "ftz", "sat", "relu", "NaN", "xorsign", "abs")
        args = [_halves(w, operand, i.type) for operand in i.operands[1:]]
        values = []
        for own in zip(*args, strict=True):
            wide = [f"{x}.astype(np.float64)" for x in own]
            value = template.format(*wide, nan="NaN" in i.op)
            if "ftz" in i.op:
                raise Unknown(f"{i.place}: .ftz of halves")
            if "sat" in i.op:
                value = f"fl.saturate({value})"
            if "relu" in i.op:
                value = f"fl.relu({value})"
            values.append(value)
        _write_halves(w, i.operands[0], values, i.type)

    return family


_HALF = {
    "add": _half_operation("fl.sum_to_odd({0}, {1})"),
    "sub": _half_operation("fl.sum_to_odd({0}, -{1})"),
    "mul": _half_operation("({0} * {1})"),
    "fma": _half_operation("fl.sum_to_odd({0} * {1}, {2})"),
    "neg": _half_operation("(-{0})"),
    "abs": _half_operation("np.abs({0})"),
    "ex2": _half_operation("np.exp2({0})"),
    "tanh": _half_operation("np.tanh({0})"),
    "min": _half_operation("fl.minimum({0}, {1}, {nan})"),
    "max": _half_operation("fl.maximum({0}, {1}, {nan})"),
}


# ---- float32 and float64


def _float(name):
    def family(w, i):
        known = {"rn", "rz", "rm", "rp", "ftz", "sat", "NaN", "approx", "full", "relu"}
        _refuse(i, *known)
        single, mode = i.type == "f32", _mode(i)
        args = [w.read(operand, i.type) for operand in i.operands[1:]]
        if "ftz" in i.op and single:
            args = [f"fl.flush({arg})" for arg in args]
        value = _float_value(name, args, single, mode, "NaN" in i.op)
        if value is None:
            raise Unknown(f"{i.place}: rounding .{mode} of {'.'.join(i.op)}")
        if "ftz" in i.op and single:
            value = f"fl.flush({value})"
        if "sat" in i.op:
            value = f"fl.saturate({value})"
        w.write(i.operands[0], value, i.type)

    return family


_PLAIN = {"add": "({0} + {1})", "sub": "({0} - {1})", "mul": "({0} * {1})", "div": "({0} / {1})",
          "sqrt": "np.sqrt({0})", "neg": "(-{0})", "abs": "np.abs({0})",
          "copysign": "np.copysign({1}, {0})"}  # fmt: skip
_DIRECTED = {
    "add": "fl.add32({0}, {1}, {m!r})",
    "sub": "fl.add32({0}, -{1}, {m!r})",
    "mul": "fl.round32(np.multiply({0}, {1}, dtype=np.float64), {m!r})",
    "div": "fl.div32({0}, {1}, {m!r})",
    "rcp": "fl.div32(np.ones(1, np.float32), {0}, {m!r})",
    "sqrt": "fl.sqrt32({0}, {m!r})",
    "fma": "fl.fma32_mode({0}, {1}, {2}, {m!r})",
    "mad": "fl.fma32_mode({0}, {1}, {2}, {m!r})",
}
_SMOOTH = {  # approximate on the GPU; here computed in float64
    "ex2": "np.exp2({0}.astype(np.float64)).astype({0}.dtype)",
    "lg2": "np.log2({0}.astype(np.float64)).astype({0}.dtype)",
    "sin": "np.sin({0}.astype(np.float64)).astype({0}.dtype)",
    "cos": "np.cos({0}.astype(np.float64)).astype({0}.dtype)",
    "tanh": "np.tanh({0}.astype(np.float64)).astype({0}.dtype)",
    "rsqrt": "(1.0 / np.sqrt({0}.astype(np.float64))).astype({0}.dtype)",
}


def _float_value(name, args, single, mode, keep_nan):
    if name in ("min", "max"):
        return f"fl.{name}imum({', '.join(args)}, {keep_nan})"
    if name in _SMOOTH:
        return _SMOOTH[name].format(*args)
    if mode != "rn":
        return _DIRECTED[name].format(*args, m=mode) if single and name in _DIRECTED else None
    if name in ("fma", "mad"):
        return f"fl.fma{32 if single else 64}({', '.join(args)})"
    if name == "rcp":
        return f"(np.{'float32' if single else 'float64'}(1) / {args[0]})"
    return _PLAIN[name].format(*args)


def _rcp(w, i):
    if i.type == "f64" and "approx" in i.op:
        w.write(i.operands[0], f"fl.rcp64_approx({w.read(i.operands[1], 'f64')})", "f64")
    else:
        _float("rcp")(w, i)


# ---- integers


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
        _refuse(i)
        type_ = _same_bits(type_)
        w.write(i.operands[0], template.format(*(w.read(x, type_) for x in i.operands[1:])), type_)

    return family


def _product(w, i):
    """mul and mad of integers: .lo, .hi, .wide."""
    _refuse(i, "lo", "hi", "wide")
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
        _refuse(i)
        args = [w.read(x, i.type) for x in i.operands[1:]]
        w.write(i.operands[0], template.format(*args), i.type)

    return family


def _counted(template):
    """The result is .u32 whatever the type."""

    def family(w, i):
        _refuse(i, "shiftamt")
        w.write(
            i.operands[0], template.format(w.read(i.operands[1], i.type), "shiftamt" in i.op), "u32"
        )

    return family


def _shift(template):
    def family(w, i):
        _refuse(i)
        type_ = i.type if i.op[0] == "shr" else _same_bits(i.type)
        a, by = w.read(i.operands[1], type_), w.read(i.operands[2], "u32")
        w.write(i.operands[0], template.format(a, by), type_)

    return family


def _fields(template, plain=2):
    """bfe, bfi: `plain` operands of the type, then start and length."""

    def family(w, i):
        args = [w.read(x, i.type) for x in i.operands[1 : 1 + plain]]
        args += [w.read(x, "u32") for x in i.operands[1 + plain :]]
        w.write(i.operands[0], template.format(*args), i.type)

    return family


def _lop3(w, i):
    _refuse(i)
    to, a, b, c, table = i.operands
    args = ", ".join(w.read(x, "u32") for x in (a, b, c))
    w.write(to, f"it.lookup3({args}, {int(table, 0)})", "u32")


def _prmt(w, i):
    mode = next((word for word in i.op[1:] if word not in ("b32",)), "")
    args = ", ".join(w.read(x, "u32") for x in i.operands[1:])
    w.write(i.operands[0], f"it.permute({args}, {mode!r})", "u32")


def _shf(w, i):
    _refuse(i, "l", "r", "wrap", "clamp")
    args = ", ".join(w.read(x, "u32") for x in i.operands[1:])
    w.write(i.operands[0], f"it.funnel({args}, {'l' in i.op}, {'wrap' in i.op})", "u32")


# ---- comparisons


_COMPARE = {"eq": "{0} == {1}", "ne": "{0} != {1}", "lt": "{0} < {1}", "le": "{0} <= {1}",
            "gt": "{0} > {1}", "ge": "{0} >= {1}", "lo": "{0} < {1}", "ls": "{0} <= {1}",
            "hi": "{0} > {1}", "hs": "{0} >= {1}"}  # fmt: skip
_OF_FLOATS = _COMPARE | {
    "ne": "({0} < {1}) | ({0} > {1})",
    "equ": "~(({0} < {1}) | ({0} > {1}))",
    "neu": "{0} != {1}",
    "ltu": "~({0} >= {1})",
    "leu": "~({0} > {1})",
    "gtu": "~({0} <= {1})",
    "geu": "~({0} < {1})",
    "num": "~(np.isnan({0}) | np.isnan({1}))",
    "nan": "np.isnan({0}) | np.isnan({1})",
}
_JOIN = {"and": "&", "or": "|", "xor": "^"}


def _comparison(w, i):
    """(types, the comparison of each, the predicate it is joined with)."""
    words = [word for word in i.op[1:] if word != "ftz"]
    if i.op[0] == "set":  # .dtype.stype
        words = [*words[:-2], words[-1]]
    compare, join, type_ = words[0], words[1:-1], words[-1]
    a, b, *rest = i.operands[1:]
    if type_ in _HALVES:
        pairs = zip(_halves(w, a, type_), _halves(w, b, type_), strict=True)
    else:
        pairs = [(w.read(a, type_), w.read(b, type_))]
    table = _OF_FLOATS if type_ in _FLOATS else _COMPARE
    found = []
    for left, right in pairs:
        if "ftz" in i.op and type_ == "f32":
            left, right = f"fl.flush({left})", f"fl.flush({right})"
        found.append(f"({table[compare].format(left, right)})")
    joined = (_JOIN[join[0]], w.read(rest[0], "pred")) if join else None
    return type_, found, joined


def _setp(w, i):
    _, found, joined = _comparison(w, i)
    names = [name.strip() for name in i.operands[0].split("|")]
    if len(names) == 2 and len(found) == 1:  # the second is the opposite
        own = w.fresh()
        w.line(f"{own} = {found[0]}")
        found = [own, f"(~{own})"]
    done = []
    for value in found:
        own = w.fresh()
        w.line(f"{own} = {value}" + (f" {joined[0]} {joined[1]}" if joined else ""))
        done.append(own)
    for name, value in zip(names, done, strict=True):
        w.write(name, value, "pred")


def _set(w, i):
    kind, source = i.op[-2], i.op[-1]
    _, found, joined = _comparison(w, i)
    if source in _HALVES and len(found) > 1 or kind not in ("u32", "s32", "f32"):
        raise Unknown(f"{i.place}: {'.'.join(i.op)}")
    value = found[0] + (f" {joined[0]} {joined[1]}" if joined else "")
    if kind == "f32":
        w.write(i.operands[0], f"({value}).astype(np.float32)", "f32")
    else:
        w.write(i.operands[0], f"where({value}, np.uint32(0xFFFFFFFF), np.uint32(0))", "u32")


def _selp(w, i):
    _refuse(i)
    to, a, b, p = i.operands
    type_ = i.type
    w.write(to, f"where({w.read(p, 'pred')}, {w.read(a, type_)}, {w.read(b, type_)})", type_)


def _slct(w, i):
    _refuse(i, "ftz", "f32", "f64", "s32", "u32", "b32", "b64", "s64", "u64")
    kind, (to, a, b, c) = i.op[-2], i.operands
    w.write(to, f"where({w.read(c, i.type)} >= 0, {w.read(a, kind)}, {w.read(b, kind)})", kind)


def _testp(w, i):
    x = w.read(i.operands[1], i.type)
    tiny = {"f32": "np.float32(2.0**-126)", "f64": "np.float64(2.0**-1022)"}[i.type]
    value = {
        "finite": f"np.isfinite({x})",
        "infinite": f"np.isinf({x})",
        "number": f"~np.isnan({x})",
        "notanumber": f"np.isnan({x})",
        "normal": f"np.isfinite({x}) & (np.abs({x}) >= {tiny})",
        "subnormal": f"(np.abs({x}) < {tiny}) & ({x} != 0)",
    }[i.op[1]]
    w.write(i.operands[0], value, "pred")


def _by_type(of_integers, name):
    """Families that integers, floats and halves share."""

    def family(w, i):
        if i.type in _HALVES:
            _HALF[name](w, i)
        elif i.type in ("f32", "f64"):
            _float(name)(w, i)
        elif of_integers is None:
            raise Unknown(f"{i.place}: {'.'.join(i.op)}")
        else:
            of_integers(w, i)

    return family


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


FAMILIES = {
    "add": _by_type(_integer("({0} + {1})"), "add"),
    "sub": _by_type(_integer("({0} - {1})"), "sub"),
    "mul": _by_type(_product, "mul"),
    "mad": _by_type(_product, "fma"),
    "fma": _by_type(None, "fma"),
    "div": _by_type(_typed("it.divide({0}, {1})"), "div"),
    "rem": _typed("it.remainder({0}, {1})"),
    "min": _by_type(_typed("np.minimum({0}, {1})"), "min"),
    "max": _by_type(_typed("np.maximum({0}, {1})"), "max"),
    "abs": _by_type(_typed("np.abs({0})"), "abs"),
    "neg": _by_type(_typed("(-{0})"), "neg"),
    "sad": _typed("where({0} > {1}, {0} - {1}, {1} - {0}) + {2}"),
    "sqrt": _float("sqrt"),
    "rcp": _rcp,
    "copysign": _float("copysign"),
    "ex2": _by_type(None, "ex2"),
    "tanh": _by_type(None, "tanh"),
    **{name: _float(name) for name in ("lg2", "sin", "cos", "rsqrt")},
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
    "setp": _setp,
    "set": _set,
    "selp": _selp,
    "slct": _slct,
    "testp": _testp,
    "dp4a": _dot,
}
assert np.bitwise_count  # numpy 2
