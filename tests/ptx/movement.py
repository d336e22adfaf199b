"""mov, ld, st, atomics, copies, barriers and what warps do together: -> Python source."""

import numpy as np

from ptx import atomics, warp
from ptx.fault import Unknown
from ptx.text import SIZES
from ptx.wave import WINDOWS

NAMES = {"at": atomics, "wp": warp, "W8": np.uint64}
_SPACES = ("global", "shared", "local", "param", "const")
_IGNORED = {"volatile", "weak", "relaxed", "acquire", "release", "cta", "gpu", "sys", "nc", "ca",
            "cg", "cs", "lu", "cv", "wb", "wt", "sync", "aligned", "L1::no_allocate",
            "L1::evict_last", "L1::evict_first", "L1::evict_normal", "L1::evict_unchanged",
            "L2::64B", "L2::128B", "L2::256B"}  # fmt: skip


def _listed(operand):
    return [name.strip() for name in operand.strip("{} ").split(",")]


def _space(i):
    if "::" in ".".join(word for word in i.op if not word.startswith("L")):
        op = [word.partition("::")[0] for word in i.op]
    else:
        op = i.op
    return next((word for word in op if word in _SPACES), "generic")


def _count(i):
    return next((int(word[1:]) for word in i.op if word in ("v2", "v4")), 1)


def _check(i, *known):
    for word in i.op[1:-1]:
        plain = word.partition("::")[0]
        if word not in _IGNORED and plain not in (*_SPACES, "v2", "v4", *known):
            raise Unknown(f"{i.place}: modifier .{word} of {'.'.join(i.op)}")


def _unsigned(type_):
    return f"u{8 * SIZES[type_]}"


def _mov(w, i):
    to, source = i.operands
    type_ = i.type
    if source.startswith("{"):  # packs, the first lowest
        parts = _listed(source)
        each = 8 * SIZES[type_] // len(parts)
        whole = _unsigned(type_)
        kind = f"np.uint{8 * SIZES[type_]}"
        words = [
            f"{w.read(p, f'u{each}')}.astype({kind}) << {kind}({n * each})"
            for n, p in enumerate(parts)
        ]
        return w.write(to, " | ".join(words), whole)
    if to.startswith("{"):
        parts = _listed(to)
        each = 8 * SIZES[type_] // len(parts)
        own = w.fresh()
        w.line(f"{own} = {w.read(source, _unsigned(type_))}")
        for n, part in enumerate(parts):
            kind = f"np.uint{8 * SIZES[type_]}"
            w.write(part, f"({own} >> {kind}({n * each})).astype(np.uint{each})", f"u{each}")
        return None
    if source in w.kernel.parameters and type_ in ("b64", "u64"):
        return w.write(to, w.constant(w.symbol(source), np.uint64), "u64")
    w.write(to, w.read(source, type_), type_)
    return None


def _cvta(w, i):
    space = next(word for word in i.op if word in _SPACES)
    window = w.constant(WINDOWS[space], np.uint64)
    own = w.read(i.operands[1], "u64")
    sign = "-" if "to" in i.op else "+"
    w.write(i.operands[0], own if space == "global" else f"{own} {sign} {window}", "u64")


def _isspacep(w, i):
    window = WINDOWS[i.op[1]] >> 60
    w.write(i.operands[0], f"({w.read(i.operands[1], 'u64')} >> W8(60)) == W8({window})", "pred")


def _ld(w, i):
    _check(i)
    count, size = _count(i), SIZES[i.type]
    own = w.fresh()
    address = w.address(i.operands[1])
    w.line(f"{own} = W.load({_space(i)!r}, {address}, {size}, {count}, {w.act}, {w.index})")
    kind = "i" if i.type[0] == "s" else "u"
    for n, name in enumerate(_listed(i.operands[0])):
        if kind == "i":
            w.write(name, f"{own}[{n}].view(np.int{8 * size})", i.type)
        else:
            w.write(name, f"{own}[{n}]", _unsigned(i.type))


def _st(w, i):
    _check(i)
    address = w.address(i.operands[0])
    values = [w.read(name, _unsigned(i.type)) for name in _listed(i.operands[1])]
    w.line(f"W.store({_space(i)!r}, {address}, {SIZES[i.type]}, [{', '.join(values)}], {w.act}, "
           f"{w.index})")  # fmt: skip


def _atom(w, i):
    _check(i, "add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec", "noftz")
    name = next(word for word in i.op[1:] if word in
                ("add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"))  # fmt: skip
    if i.type not in ("u32", "s32", "b32", "u64", "s64", "b64", "f32", "f64"):
        raise Unknown(f"{i.place}: {'.'.join(i.op)}")
    red = i.op[0] == "red"
    to, place, *values = ["_", *i.operands] if red else i.operands
    type_ = i.type
    args = ", ".join(w.read(value, type_) for value in values)
    own = w.fresh()
    w.line(f"{own} = at.atomic(W, {_space(i)!r}, {name!r}, {w.address(place)}, [{args}], {w.act}, "
           f"{w.index})")  # fmt: skip
    w.write(to, own, type_)


def _cp(w, i):
    words = [word.partition("::")[0] for word in i.op]
    if words[:2] != ["cp", "async"]:
        raise Unknown(f"{i.place}: {'.'.join(i.op)}")
    if "commit_group" in words:
        w.line(f"W.copies.commit({w.mask})")
    elif "wait_group" in words or "wait_all" in words:
        everything = "wait_all" in words
        newest = 0 if everything else int(i.operands[0], 0)
        w.line(f"W.copies.wait({newest}, {w.mask}, {everything})")
    elif set(words[2:]) <= {"ca", "cg", "shared", "global", "L2"} and len(i.operands) in (3, 4):
        to, source, size, *count = i.operands
        count = w.read(count[0], "u32") if count else w.constant(int(size), np.uint32)
        args = f"{w.address(to)}, {w.address(source)}, {int(size)}, {count}"
        w.line(f"W.copies.start({args}, {w.act}, {w.index})")
    else:
        raise Unknown(f"{i.place}: {'.'.join(i.op)}")


def _bar(w, i):
    if i.op[1] == "warp":
        own = w.read(i.operands[0], "u32")
        members = f"wp.members_of(W, {own}, {w.act}, {w.index})"
        w.line(f"W.warp_barrier({w.mask}, {members}, {w.index})")
    elif i.op[1:] in (["sync"], ["sync", "aligned"], ["cta", "sync"], ["cta", "sync", "aligned"]):
        if i.operands not in (["0"], []):
            raise Unknown(f"{i.place}: a barrier of its own number, or of some threads only")
        w.line(f"W.barrier({w.mask}, {w.index})")
    else:
        raise Unknown(f"{i.place}: {'.'.join(i.op)}")


def _nothing(w, i):
    """Fences order nothing by themselves; prefetches change nothing."""


def _pair(operand):
    names = [name.strip() for name in operand.split("|")]
    return names if len(names) == 2 else [names[0], "_"]


def _shfl(w, i):
    mode = next(word for word in i.op if word in ("up", "down", "bfly", "idx"))
    _, a, b, c, members = i.operands
    args = ", ".join(w.read(x, "u32") for x in (a, b, c, members))
    own = w.fresh()
    w.line(f"{own} = wp.shuffle(W, {mode!r}, {args}, {w.context})")
    to, predicate = _pair(i.operands[0])
    w.write(to, f"{own}[0]", "u32")
    w.write(predicate, f"{own}[1]", "pred")


def _vote(w, i):
    mode = next(word for word in i.op if word in ("any", "all", "uni", "ballot"))
    to, value, members = i.operands
    text = f"wp.vote(W, {mode!r}, {w.read(value, 'pred')}, {w.read(members, 'u32')}, {w.context})"
    w.write(to, text, "u32" if mode == "ballot" else "pred")


def _match(w, i):
    mode = next(word for word in i.op if word in ("any", "all"))
    _, value, members = i.operands
    own = w.fresh()
    args = f"{w.read(value, i.type)}, {w.read(members, 'u32')}"
    w.line(f"{own} = wp.match(W, {mode!r}, {args}, {w.context})")
    to, predicate = _pair(i.operands[0])
    w.write(to, f"{own}[0]", "u32")
    w.write(predicate, f"{own}[1]", "pred")


def _redux(w, i):
    to, value, members = i.operands
    text = (
        f"wp.reduce(W, {i.op[2]!r}, {w.read(value, i.type)}, {w.read(members, 'u32')}, {w.context})"
    )
    w.write(to, text, i.type)


def _activemask(w, i):
    w.write(i.operands[0], f"W.active_mask({w.mask})", "u32")


def _ldmatrix(w, i):
    count = next(int(word[1:]) for word in i.op if word in ("x1", "x2", "x4"))
    if "m8n8" not in i.op or i.type != "b16" or _space(i) != "shared":
        raise Unknown(f"{i.place}: {'.'.join(i.op)}")
    own = w.fresh()
    w.line(f"{own} = wp.load_matrices(W, {w.address(i.operands[1])}, {count}, {'trans' in i.op}, "
           f"{w.context})")  # fmt: skip
    for n, name in enumerate(_listed(i.operands[0])):
        w.write(name, f"{own}[{n}]", "u32")


def _mma(w, i):
    d, a, b, c = (_listed(operand) for operand in i.operands)
    *_, d_type, a_type, b_type, c_type = i.op
    shapes = {("f16", "m16n8k16"), ("bf16", "m16n8k16"), ("tf32", "m16n8k8"), ("f16", "m16n8k8"),
              ("bf16", "m16n8k8")}  # fmt: skip
    shape = next(word for word in i.op if word.startswith("m16"))
    if (a_type, shape) not in shapes or a_type != b_type or d_type != "f32" or c_type != "f32":
        raise Unknown(f"{i.place}: {'.'.join(i.op)}")
    left, right = ([w.read(x, "u32") for x in names] for names in (a, b))
    sums = [w.read(x, "f32") for x in c]
    own = w.fresh()
    w.line(f"{own} = wp.multiply(W, {a_type!r}, {d_type!r}, [{', '.join(left)}], "
           f"[{', '.join(right)}], [{', '.join(sums)}], {w.mask}, {w.index})")  # fmt: skip
    for n, name in enumerate(d):
        w.write(name, f"{own}[{n}]", "f32")


FAMILIES = {
    "mov": _mov, "cvta": _cvta, "isspacep": _isspacep, "ld": _ld, "ldu": _ld, "st": _st,
    "atom": _atom, "red": _atom, "cp": _cp, "bar": _bar, "barrier": _bar, "membar": _nothing,
    "fence": _nothing, "prefetch": _nothing, "prefetchu": _nothing, "nanosleep": _nothing,
    "shfl": _shfl, "vote": _vote, "match": _match, "redux": _redux, "activemask": _activemask,
    "ldmatrix": _ldmatrix, "mma": _mma,
}  # fmt: skip
