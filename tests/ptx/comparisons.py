"""Comparisons and choices: each family of instructions -> Python source (translate.py)."""

from ptx import floats
from ptx.fault import Unknown
from ptx.floating import HALVES, halves_of, refuse

NAMES = {"fl": floats}


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
    if type_ in HALVES:
        pairs = zip(halves_of(w, a, type_), halves_of(w, b, type_), strict=True)
    else:
        pairs = [(w.read(a, type_), w.read(b, type_))]
    table = _OF_FLOATS if type_ in ("f32", "f64", *HALVES) else _COMPARE
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
    if source in HALVES and len(found) > 1 or kind not in ("u32", "s32", "f32"):
        raise Unknown(f"{i.place}: {'.'.join(i.op)}")
    value = found[0] + (f" {joined[0]} {joined[1]}" if joined else "")
    if kind == "f32":
        w.write(i.operands[0], f"({value}).astype(np.float32)", "f32")
    else:
        w.write(i.operands[0], f"where({value}, np.uint32(0xFFFFFFFF), np.uint32(0))", "u32")


def _selp(w, i):
    refuse(i)
    to, a, b, p = i.operands
    type_ = i.type
    w.write(to, f"where({w.read(p, 'pred')}, {w.read(a, type_)}, {w.read(b, type_)})", type_)


def _slct(w, i):
    refuse(i, "ftz", "f32", "f64", "s32", "u32", "b32", "b64", "s64", "u64")
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


FAMILIES = {"setp": _setp, "set": _set, "selp": _selp, "slct": _slct, "testp": _testp}
