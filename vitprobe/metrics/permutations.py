"""Permutations of the examples of a batch, and what they do to packed matrices of pairs.

They are made of a counter, in integers, on the device: the same on every machine, and nothing is
copied to a GPU.
"""

import hashlib

import torch
from torch import Tensor

_STEP = 0x9E3779B97F4A7C15  # SplitMix64 (Steele, Lea & Flood 2014)
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def permutations(
    seed: int, batch: int, replicates: int, n: int, device: torch.device | str = "cpu"
) -> Tensor:
    """(replicates, n) int64: rows are permutations of n examples, drawn uniformly.

    Row r is decided by (seed, batch, r, n) alone: more replicates only add rows.
    """
    word = hashlib.sha256(f"{seed} {batch} {n}".encode()).digest()[:8]
    counter = torch.arange(1, replicates * n + 1, device=device)
    z = counter * _signed(_STEP) + int.from_bytes(word, "little", signed=True)
    z = (z ^ _right(z, 30)) * _signed(_FIRST)
    z = (z ^ _right(z, 27)) * _signed(_SECOND)
    return (z ^ _right(z, 31)).view(replicates, n).argsort(dim=1, stable=True)


def pairs_of(n: int, diagonal: bool, device: torch.device | str = "cpu") -> Tensor:
    """(2, m) int64: rows and columns of the elements of a packed symmetric matrix (n, n): its lower
    triangle, with the diagonal (as of "biased") or without."""
    return torch.tril_indices(n, n, 0 if diagonal else -1, device=device)


def permuted_pairs(permutations: Tensor, pairs: Tensor, diagonal: bool) -> Tensor:
    """Where elements of a packed symmetric matrix are found once its examples are permuted.

    Args:
        permutations: (K, n) int64.
        pairs: (2, m) int64, all of `pairs_of` or some.
        diagonal: as for `pairs_of`.

    Returns:
        (K, m) int64: of a packed v, v[index[k]] are the elements `pairs` of its matrix with rows
        and columns in the order permutations[k].
    """
    i, j = permutations[:, pairs[0]], permutations[:, pairs[1]]
    low, high = torch.minimum(i, j), torch.maximum(i, j)
    return (high * (high + (1 if diagonal else -1))).div_(2, rounding_mode="floor").add_(low)


def _signed(word: int) -> int:
    """The int64 with the bits of a word of 64; products of int64 wrap around."""
    return word - (word >> 63 << 64)


def _right(z: Tensor, bits: int) -> Tensor:
    """Bits shifted to the right, as of an unsigned number."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
