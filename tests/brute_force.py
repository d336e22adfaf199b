"""CKA the slow and obvious way, in float64: what the fast way is checked against."""

import numpy as np


def hsic_1(x: np.ndarray, y: np.ndarray) -> float:
    """HSIC_1 of Song et al. 2012, eq. 5, written out; x, y: (n, ...) of the same n examples."""
    k, m = (z.reshape(len(z), -1).astype(np.float64) for z in (x, y))
    k, m = k @ k.T, m @ m.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    n, one = len(k), np.ones(len(k))
    return (
        np.trace(k @ m)
        + one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (one @ k @ m @ one)
    ) / (n * (n - 3))


def cka(x: np.ndarray, y: np.ndarray, batch_size: int) -> float:
    """Unbiased CKA over batches: sums of n(n-3) HSIC_1, then the ratio; x, y: (N, ...)."""
    sums = np.zeros(3)
    for start in range(0, len(x), batch_size):
        a, b = x[start : start + batch_size], y[start : start + batch_size]
        n = len(a)
        sums += n * (n - 3) * np.array([hsic_1(a, b), hsic_1(a, a), hsic_1(b, b)])
    return sums[0] / np.sqrt(sums[1] * sums[2])
