"""What a warp's lanes do together: shfl, vote, match, redux, ldmatrix, mma.

Every function takes a Wave, arrays over its lanes, and mask, act, index as wave.py has them.
"""

import numpy as np

from ptx import floats, races

U4, F8 = np.uint32, np.float64


def _by_warp(wave, values, warps):
    """(warps, 32)"""
    whole = np.broadcast_to(values, (wave.lanes,)).reshape(-1, 32)
    return whole if warps is None else whole[warps]


def _over_lanes(wave, values, warps):
    """(warps, 32) -> (lanes,), zeros in other warps."""
    if warps is None:
        return np.ascontiguousarray(values).reshape(-1)
    out = np.zeros((wave.lanes // 32, 32), values.dtype)
    out[warps] = values
    return out.reshape(-1)


def members_of(wave, members, act, index) -> int:
    """The one member mask that all active lanes name."""
    own = wave.chosen(members, act)
    if len(own) == 0:
        return 0xFFFFFFFF
    if (own != own[0]).any():
        wave.fault(index, 0, "lanes name different member masks")
    return int(own[0])


def shuffle(wave, mode, value, other, clamp, members, mask, act, index):
    """shfl.sync: (value, predicate)."""
    warps = wave.whole_warps(mask, index, members_of(wave, members, act, index))
    value, b, c = (_by_warp(wave, x, warps).astype(x.dtype) for x in (value, other, clamp))
    b, c = b.astype(np.int64) & 31, c.astype(np.int64)
    segments, clamp = c >> 8 & 31, c & 31
    lane = np.broadcast_to(np.arange(32), value.shape)
    last = (lane & segments) | (clamp & ~segments)
    first = lane & segments
    source = {
        "up": lane - b,
        "down": lane + b,
        "bfly": lane ^ b,
        "idx": first | (b & ~segments),
    }[mode]
    inside = source >= last if mode == "up" else source <= last
    source = np.where(inside, source, lane)
    active = np.ones(32, bool) if mask is None else _by_warp(wave, mask, warps)
    if not np.take_along_axis(np.broadcast_to(active, value.shape), source, 1).all():
        wave.fault(index, 0 if act is None else act[0], "shuffles from a lane that is not there")
    wave.met(mask)
    return (
        _over_lanes(wave, np.take_along_axis(value, source, 1), warps),
        _over_lanes(wave, inside, warps),
    )


def vote(wave, mode, value, members, mask, act, index):
    """vote.sync: all, any, uni -> predicate; ballot -> uint32."""
    warps = wave.whole_warps(mask, index, members_of(wave, members, act, index))
    active = np.ones((1, 32), bool) if mask is None else _by_warp(wave, mask, warps)
    value = _by_warp(wave, value, warps) & active
    wave.met(mask)
    if mode == "ballot":
        out = (value.astype(np.uint64) << np.arange(32, dtype=np.uint64)).sum(1).astype(U4)
    else:
        all_ = (value | ~active).all(1)
        out = {"any": value.any(1), "all": all_, "uni": all_ | ~value.any(1)}[mode]
    return _over_lanes(wave, np.repeat(out, 32).reshape(-1, 32), warps)


def match(wave, mode, value, members, mask, act, index):
    """match.sync: any, all -> (mask of equal lanes, predicate)."""
    warps = wave.whole_warps(mask, index, members_of(wave, members, act, index))
    active = np.ones((1, 32), bool) if mask is None else _by_warp(wave, mask, warps)
    value = _by_warp(wave, value, warps)
    wave.met(mask)
    same = (value[:, :, None] == value[:, None, :]) & active[:, None, :]
    bits = (same.astype(np.uint64) << np.arange(32, dtype=np.uint64)).sum(2).astype(U4)
    whole = (same | ~active[:, None, :]).all(2)
    if mode == "all":
        bits = np.where(whole, bits, U4(0))
    return _over_lanes(wave, bits, warps), _over_lanes(wave, whole, warps)


def reduce(wave, name, value, members, mask, act, index):
    """redux.sync."""
    warps = wave.whole_warps(mask, index, members_of(wave, members, act, index))
    active = np.ones((1, 32), bool) if mask is None else _by_warp(wave, mask, warps)
    value = _by_warp(wave, value, warps)
    wave.met(mask)
    limits = np.iinfo(value.dtype)
    function, start = {
        "add": (np.add, 0),
        "min": (np.minimum, limits.max),
        "max": (np.maximum, limits.min),
        "and": (np.bitwise_and, limits.max if limits.min == 0 else -1),
        "or": (np.bitwise_or, 0),
        "xor": (np.bitwise_xor, 0),
    }[name]
    value = np.where(active, value, value.dtype.type(start))
    out = function.reduce(value, axis=1).astype(value.dtype)
    return _over_lanes(wave, np.repeat(out, 32).reshape(-1, 32), warps)


def load_matrices(wave, address, count, transposed, mask, act, index):
    """ldmatrix: `count` registers of each lane; lane 8 m + r tells where row r of matrix m is.

    Rows that nothing wrote may be fetched: whole matrices are, where fewer rows are there too.
    They come as NaN, which mma carries to the elements that depend on them, and to nothing else.
    """
    warps = wave.whole_warps(mask, index)
    lanes = np.arange(wave.lanes).reshape(-1, 32)
    lanes = (lanes if warps is None else lanes[warps]).reshape(-1, 32)
    giving = lanes[:, : 8 * count].reshape(-1)
    at = np.zeros((len(lanes), 32), np.int64)
    for _, _, own in wave.places("shared", address, 16, giving, index):
        at[:, : 8 * count] = own.reshape(len(lanes), -1)
    memory, own = wave.memory["shared"], np.arange(32)
    out, who = [], lanes.reshape(-1)
    for matrix in range(count):
        if transposed:
            halves = []
            for half in range(2):
                place = at[:, 8 * matrix + 2 * (own % 4) + half] + 2 * (own // 4)
                halves.append(_read(wave, memory, place.reshape(-1), 2, who, index).astype(U4))
            values = halves[0] | halves[1] << U4(16)
        else:
            place = at[:, 8 * matrix + own // 4] + 4 * (own % 4)
            values = _read(wave, memory, place.reshape(-1), 4, who, index)
        out.append(_over_lanes(wave, values.reshape(-1, 32), warps))
    return out


def _read(wave, memory, at, size, lanes, index):
    values, written = memory.load(at, size)
    if not written:
        wave.refuse(memory, at, size, False, lanes, index, poison=True)
    wave.note("shared", at, size, lanes, races.READ, index)
    return values


def multiply(wave, kind, d_kind, a, b, c, mask, index):
    """mma.sync m16n8k16 (f16, bf16) and m16n8k8 (f16, bf16, tf32), row.col, sums float32.

    As the matrix unit does: all addends of an element aligned to the largest and cut to 24 bits,
    their sum cut to a float. Cut, never rounded: no GPU is worse.
    """
    warps = wave.whole_warps(mask, index)
    left = np.stack([_by_warp(wave, r, warps) for r in a], 1)  # (warps, registers, 32)
    right = np.stack([_by_warp(wave, r, warps) for r in b], 1)
    sums = np.stack([_by_warp(wave, r, warps) for r in c], 1).astype(F8)
    left, right = _numbers(left, kind), _numbers(right, kind)  # (warps, registers, 32, 1 or 2)
    count, each = len(left), left.shape[-1]
    # A: row l/4 + 8 (r%2), column each (l%4) + 4 each (r/2); B: likewise, columns as rows.
    halves = left.shape[1] // 2
    rows = left.reshape(count, halves, 2, 8, 4, each).transpose(0, 2, 3, 1, 4, 5)
    rows = rows.reshape(count, 16, -1)
    columns = right.reshape(count, halves, 8, 4, each).transpose(0, 2, 1, 3, 4)
    columns = columns.reshape(count, 8, -1)
    # C: row l/4 + 8 (r/2), column 2 (l%4) + r%2.
    sums = sums.reshape(count, 2, 2, 8, 4).transpose(0, 1, 3, 4, 2).reshape(count, 16, 8)
    out = _cut_products(rows, columns, sums)
    out = out.reshape(count, 2, 8, 4, 2).transpose(0, 1, 4, 2, 3).reshape(count, 4, 32)
    return [_over_lanes(wave, out[:, r], warps) for r in range(4)]


def _numbers(bits, kind):
    """(..., numbers in a register), float64."""
    if kind == "tf32":
        return (bits & U4(0xFFFFE000)).view(np.float32)[..., None].astype(F8)
    if kind == "bf16":
        pair = [bits << U4(16), bits & U4(0xFFFF0000)]
        return np.stack([half.view(np.float32) for half in pair], -1).astype(F8)
    pair = [bits.astype(np.uint16), (bits >> U4(16)).astype(np.uint16)]
    return np.stack([floats.from_f16(half) for half in pair], -1).astype(F8)


def _cut_products(rows, columns, sums):
    """(warps, 16, 8) float32: sums + rows columns^T."""
    products = rows[:, :, None, :] * columns[:, None, :, :]
    whole = products.sum(-1) + sums
    largest = np.maximum(np.abs(products).max(-1), np.abs(sums))
    _, exponent = np.frexp(largest)
    back = np.ldexp(1.0, 24 - exponent)  # to multiples of the last of 24 bits
    total = np.trunc(products * back[..., None]).sum(-1) + np.trunc(sums * back)
    total = np.ldexp(total, exponent - 24)
    _, own = np.frexp(total)
    step = np.maximum(own, -125) - 24
    total = np.ldexp(np.trunc(np.ldexp(total, -step)), step)
    finite = np.isfinite(whole)
    return np.where(finite, total, whole).astype(np.float32)
