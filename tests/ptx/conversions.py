"""cvt, all its types and roundings, and cvta: -> Python source (translate.py)."""

from ptx import floats, integers
from ptx.fault import Unknown

NAMES = {"fl": floats, "it": integers}
_FLOATS = ("f16", "bf16", "f32", "f64", "tf32")
_PAIRS = ("f16x2", "bf16x2")
_ROUND = ("rn", "rz", "rm", "rp", "rna")
_WHOLE = ("rni", "rzi", "rmi", "rpi")
_NUMPY = {"u": "np.uint", "s": "np.int", "b": "np.uint"}


def _kind(type_):
    return f"{_NUMPY[type_[0]]}{type_[1:]}"


def _value(w, operand, type_):
    """A float of the type as float32 or float64."""
    if type_ == "f16":
        return f"fl.from_f16({w.read(operand, 'u16')})"
    if type_ == "bf16":
        return f"fl.from_bf16({w.read(operand, 'u16')})"
    return w.read(operand, type_)


def _cvt(w, i):
    to, source = i.op[-2], i.op[-1]
    words = i.op[1:-2]
    for word in words:
        if word not in (*_ROUND, *_WHOLE, "ftz", "sat", "relu", "satfinite"):
            raise Unknown(f"{i.place}: {'.'.join(i.op)}")
    mode = next((word for word in words if word in _ROUND), "rn")
    whole = next((word for word in words if word in _WHOLE), None)
    if to in _PAIRS:
        high, low = (_shaped(w, w.read(x, source), words) for x in i.operands[1:])
        narrow = f"fl.to_{to.removesuffix('x2')}"
        value = (f"{narrow}({high}, {mode!r}).astype(np.uint32) << np.uint32(16) | "
                 f"{narrow}({low}, {mode!r}).astype(np.uint32)")  # fmt: skip
        return w.write(i.operands[0], value, "u32")
    if to in _FLOATS:
        if source in _FLOATS:
            value = _value(w, i.operands[1], source)
            if whole:
                function = {"rni": "rint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}[whole]
                value = f"np.{function}({value})"
            value = _shaped(w, value, words)
        elif mode == "rn" and "relu" not in words:
            value = w.read(i.operands[1], source)
            value = f"{value}.astype(np.{'float64' if to == 'f64' else 'longdouble'})"
            if to != "f64":
                value = f"{value}.astype(np.{'float32' if to == 'f32' else 'float64'})"
        else:
            raise Unknown(f"{i.place}: {'.'.join(i.op)}")
        return _write(w, i, value, to, source, mode)
    if source in _FLOATS:
        value = _value(w, i.operands[1], source)
        value = f"fl.flush({value})" if "ftz" in words and source == "f32" else value
        return w.write(i.operands[0], f"fl.to_integer({value}, {_kind(to)}, {whole!r})", to)
    value = w.read(i.operands[1], source)
    if "sat" in words:
        if "64" in to + source:
            raise Unknown(f"{i.place}: {'.'.join(i.op)}")
        value = f"it.saturated({value}.astype(np.int64), {_kind(to)})"
    else:
        value = f"{value}.astype({_kind(to)})"
    w.write(i.operands[0], value, to)


def _shaped(w, value, words):
    if "ftz" in words:
        value = f"fl.flush({value})"
    if "sat" in words:
        value = f"fl.saturate({value})"
    if "satfinite" in words:
        raise Unknown(f"{w.instruction.place}: .satfinite")
    return f"fl.relu({value})" if "relu" in words else value


def _write(w, i, value, to, source, mode):
    if to in ("f16", "bf16"):
        return w.write(i.operands[0], f"fl.to_{to}({value}, {mode!r})", "u16")
    if to == "tf32":
        return w.write(i.operands[0], f"fl.to_tf32({value}, {mode!r})", "f32")
    if to == "f64":
        return w.write(i.operands[0], f"({value}).astype(np.float64)", "f64")
    if source == "f64":
        value = f"fl.round32({value}, {mode!r})"
        value = f"fl.flush({value})" if "ftz" in i.op else value
    w.write(i.operands[0], value, "f32")


FAMILIES = {"cvt": _cvt}
