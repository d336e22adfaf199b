"""Floating point: each family of instructions -> Python source (translate.py).

Halves, alone or two to a register, are computed in float64 and rounded once.
"""

from ptx import floats
from ptx.fault import Unknown

NAMES = {"fl": floats}
HALVES = ("f16", "f16x2", "bf16", "bf16x2")
_MODES = ("rn", "rz", "rm", "rp")


def refuse(i, *known):
    """Modifiers that the family does not know."""
    for word in i.op[1:-1]:
        if word not in known:
            raise Unknown(f"{i.place}: modifier .{word} of {'.'.join(i.op)}")


def _mode(i):
    return next((word for word in i.op if word in _MODES), "rn")


def halves_of(w, operand, type_):
    """Expressions of the numbers (float32) that a half or a pair of halves holds."""
    widen = "fl.from_bf16" if type_.startswith("bf16") else "fl.from_f16"
    if not type_.endswith("x2"):
        return [f"{widen}({w.read(operand, 'u16')})"]
    own = w.fresh()
    w.line(f"{own} = {w.read(operand, 'u32')}")
    upper = f"({own} >> np.uint32(16))"
    return [f"{widen}({half}.astype(np.uint16))" for half in (own, upper)]


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
        refuse(i, "rn", "sat", "relu", "NaN", "approx")
        args = [halves_of(w, operand, i.type) for operand in i.operands[1:]]
        values = []
        for own in zip(*args, strict=True):
            wide = [f"{x}.astype(np.float64)" for x in own]
            value = template.format(*wide, nan="NaN" in i.op)
            if "sat" in i.op:
                value = f"fl.saturate({value})"
            if "relu" in i.op:
                value = f"fl.relu({value})"
            values.append(value)
        _write_halves(w, i.operands[0], values, i.type)

    return family


HALF = {
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
        known = {"rn", "rz", "rm", "rp", "ftz", "sat", "NaN", "approx", "full"}
        refuse(i, *known)
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


def of_type(w, i, name):
    """The instruction `name` of halves, float32 or float64."""
    if i.type in HALVES:
        HALF[name](w, i)
    else:
        _float(name)(w, i)


def _either(name):
    return lambda w, i: of_type(w, i, name)


FAMILIES = {
    "fma": _either("fma"),
    "ex2": _either("ex2"),
    "tanh": _either("tanh"),
    "rcp": _rcp,
    **{name: _float(name) for name in ("sqrt", "copysign", "lg2", "sin", "cos", "rsqrt")},
}
