"""Gram matrices by their definitions, in float64, and activations to try kernels on."""

import numpy as np


def orders(host, seed=0):
    forward = list(range(host.THREADS))
    shuffled = np.random.default_rng(seed).permutation(host.THREADS).tolist()
    return [forward, forward[::-1], shuffled]


def activations(n, p, seed, ratio=1.0, gap=0):
    """(n, p) float32 rows, `gap` apart, whose column means are `ratio` standard deviations."""
    rng = np.random.default_rng(seed)
    means = ratio * rng.choice([-1.0, 1.0], size=p)
    values = rng.standard_normal((n, p + gap)).astype(np.float32)
    values[:, :p] += means.astype(np.float32)
    return values[:, :p]


def stored(x, kind):
    """The array that the module takes for this element type, and its values in float64."""
    if kind == "f64":
        return x.astype(np.float64), x.astype(np.float64)
    if kind == "f16":
        half = x.astype(np.float16)
        return half.view(np.uint16), half.astype(np.float64)
    if kind == "bf16":  # truncated, which is as good a bfloat16 as any
        bits = (np.ascontiguousarray(x).view(np.uint32) >> 16).astype(np.uint16)
        return bits, (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return x, x.astype(np.float64)


def packed(matrix, diagonal):
    rows, columns = np.tril_indices(len(matrix), 0 if diagonal else -1)
    return matrix[rows, columns]


def gram64(x):
    shifted = x - x.mean(0)
    return shifted @ shifted.T


def centred64(gram, biased):
    """The definitions, written with whole matrices."""
    n = len(gram)
    if biased:
        h = np.eye(n) - 1 / n
        centred = h @ gram @ h
        scale = np.where(np.eye(n, dtype=bool), 1.0, np.sqrt(2))
        return packed(scale * centred, True)
    k = gram - np.diag(np.diag(gram))
    r = k.sum(1)
    centred = k - (r[:, None] + r[None, :]) / (n - 2) + r.sum() / ((n - 1) * (n - 2))
    return packed(np.sqrt(2) * centred, False)


def relative_error(value, expected):
    return np.linalg.norm(value - expected) / max(np.linalg.norm(expected), 1e-30)
