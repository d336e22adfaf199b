"""What a result with a null says of chance: which pairs are under their line, how many above."""

from typing import NamedTuple

import numpy as np
import xarray

from vitprobe.figures.cka_sides import values_of


class Counted(NamedTuple):
    """Pairs of different layers: how many have a value, how many of these are above their line."""

    above: int
    pairs: int


def under_line(result: xarray.Dataset) -> np.ndarray | None:
    """(layers of a, layers of b) bool: whether chance is as high; None of a result without null."""
    if "null_line" not in result:
        return None
    return values_of(result) <= result["null_line"].transpose("layer_a", "layer_b").values


def counted(result: xarray.Dataset) -> Counted:
    """Of a result with a null; where layers are compared with themselves every pair once."""
    values, under = values_of(result), under_line(result)
    some = np.isfinite(values)
    a, b = result["layer_a"].values, result["layer_b"].values
    if result.attrs.get("model_a") == result.attrs.get("model_b"):
        some &= a[:, None] != b
        if np.array_equal(a, b):
            some &= np.triu(np.ones_like(some))
    return Counted(int((some & ~under).sum()), int(some.sum()))


def words(result: xarray.Dataset) -> list[str]:
    """`4,380 of 4,392 pairs above chance (200 permutations)`; nothing without a null."""
    if "null_line" not in result:
        return []
    above, pairs = counted(result)
    replicates = int(result.attrs.get("null_replicates", 0))
    share = "all" if above == pairs else f"{above:,} of"
    return [f"{share} {pairs:,} pairs above chance ({replicates:,} permutations)"]
