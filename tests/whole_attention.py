"""Attention statistics by their definitions, in float64 numpy, and inputs to try kernels on."""

from dataclasses import dataclass

import numpy as np
from whole_grams import stored


@dataclass
class Case:
    """q, k: float32 arrays (B, H, T, D), (B, Hk, T, D) of any strides; bias float32 or None."""

    q: np.ndarray
    k: np.ndarray
    grid: tuple[int, int]
    prefix: int
    scale: float
    bias: np.ndarray | None = None
    patch: tuple[float, float] = (16.0, 16.0)


def case(
    images, heads, groups, depth, grid, prefix, seed, *, size=1.0, bias="", layout="split"
) -> Case:
    """Random q, k of standard deviation `size`; scale D ** -0.5.

    layout: "split": views of one (B, T, H + Hk, D) array, as a projection gives them; "plain";
    "odd": every number of a row is followed by one that is not its.
    bias: "", "full", "keys" (one row for all queries, a third -inf), "heads" (the same for all
    images), "none left" (some queries have no key).
    """
    rng = np.random.default_rng(seed)
    tokens = prefix + grid[0] * grid[1]
    key_heads = heads // groups

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32) * np.float32(size)

    if layout == "split":
        both = normal(images, tokens, heads + key_heads, depth).transpose(0, 2, 1, 3)
        q, k = both[:, :heads], both[:, heads:]
    elif layout == "plain":
        q, k = normal(images, heads, tokens, depth), normal(images, key_heads, tokens, depth)
    else:
        q = normal(images, heads, tokens, depth, 2)[..., 1]
        k = normal(images, key_heads, tokens, depth, 3)[..., 0]
    return Case(q, k, grid, prefix, depth**-0.5, _bias(rng, bias, images, heads, tokens))


def _bias(rng, kind, images, heads, tokens):
    full = (images, heads, tokens, tokens)
    if not kind:
        return None
    if kind == "keys":
        out = rng.standard_normal((images, 1, 1, tokens)).astype(np.float32)
        out[..., rng.permutation(tokens)[: tokens // 3]] = -np.inf
        return np.broadcast_to(out, full)
    if kind == "heads":
        return np.broadcast_to(rng.standard_normal((1, *full[1:])).astype(np.float32), full)
    out = 3 * rng.standard_normal(full).astype(np.float32)
    if kind == "none left":
        out[:, :, ::3] = -np.inf
    return out


def as_stored(case: Case, kind: str) -> tuple[Case, Case]:
    """What the host module takes for this type, and the same numbers in float64; strides kept."""

    def both(x):
        array, values = stored(np.ascontiguousarray(x), kind)
        whole = np.lib.stride_tricks.as_strided(  # memory with x's strides
            np.zeros(_span(x), dtype=array.dtype),
            x.shape,
            [s // x.itemsize * array.itemsize for s in x.strides],
        )
        whole[...] = array
        return whole, values

    q, q64 = both(case.q)
    k, k64 = both(case.k)
    wide = np.float64 if kind == "f64" else np.float32
    bias = None if case.bias is None else _retyped(case.bias, wide)
    bias64 = None if case.bias is None else np.asarray(case.bias, dtype=np.float64)
    kept = (case.grid, case.prefix, case.scale)
    return (
        Case(q, k, *kept, bias, case.patch),
        Case(q64, k64, *kept, bias64, case.patch),
    )


def _retyped(x, kind):
    """The same strides' zeros kept: what is broadcast stays so."""
    small = x[tuple(slice(0, 1) if step == 0 else slice(None) for step in x.strides)]
    return np.broadcast_to(small.astype(kind), x.shape)


def _span(x) -> int:
    return 1 + sum((n - 1) * s // x.itemsize for n, s in zip(x.shape, x.strides, strict=True))


def weights64(case: Case) -> np.ndarray:
    """(B, H, T, T) attention."""
    k = np.repeat(case.k, case.q.shape[1] // case.k.shape[1], axis=1)
    z = case.scale * np.einsum("bhid,bhjd->bhij", case.q, k)
    if case.bias is not None:
        z = z + case.bias
    top = z.max(-1, keepdims=True)
    p = np.exp(z - np.where(np.isneginf(top), 0, top))
    total = p.sum(-1, keepdims=True)
    return p / np.where(total == 0, 1, total)


def statistics64(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """(5, B, H) distance_raw, distance, mass, entropy, left_out; and the attention of token 0."""
    whole = weights64(case)
    p = whole[:, :, case.prefix :]
    patches = p[..., case.prefix :]
    y, x = np.divmod(np.arange(case.grid[0] * case.grid[1]), case.grid[1])
    y, x = y * case.patch[0], x * case.patch[1]
    far = np.hypot(y[:, None] - y, x[:, None] - x)
    dist, mass = (patches * far).sum(-1), patches.sum(-1)
    entropy = -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(-1)
    left = mass == 0
    with np.errstate(invalid="ignore"):
        ratio = np.where(left, 0, dist / np.where(left, 1, mass)).sum(-1) / (~left).sum(-1)
    rows = [dist.mean(-1), ratio, mass.mean(-1), entropy.mean(-1), left.sum(-1)]
    return np.stack(rows), whole[:, :, 0]
