"""Which examples, and in which order: one seeded permutation, the same for every model."""

from __future__ import annotations

import numpy as np
import torch

from vitprobe.errors import InputError, did_you_mean

ORDERS = ("seeded", "file")
FEWEST = 4  # the unbiased HSIC divides by n - 3


def example_order(
    n: int,
    *,
    order: str = "seeded",
    seed: int = 0,
    pass_index: int = 0,
    examples: int | None = None,
) -> torch.Tensor:
    """Indices into a data set of `n` examples: int64 tensor (examples,).

    `seeded`: the first `examples` of a permutation that (seed, pass_index) alone decides, so more
    examples extend the same list and every pass draws anew. `file`: 0, 1, 2, ... in each pass.

    Raises InputError for an unknown order, a seed below 0 or of 2**63 and more, more examples than
    there are, and fewer than 4.
    """
    check_order(order, seed)
    count = how_many(n, examples)
    if order == "file":
        return torch.arange(count)
    generator = torch.Generator().manual_seed(pass_seed(seed, pass_index))
    return torch.randperm(n, generator=generator)[:count]


def check_order(order: str, seed: int) -> None:
    """Raises InputError for an unknown order, and a seed below 0 or of 2**63 and more."""
    if order not in ORDERS:
        near = did_you_mean(str(order), ORDERS) or "; use seeded or file"
        raise InputError(f"unknown order {order!r}{near}")
    if not 0 <= seed < 2**63:  # results keep it as a signed 64-bit number
        raise InputError(f"the seed must be 0 or more and below 2**63, got {seed}")


def pass_seed(seed: int, pass_index: int) -> int:
    """The seed of one pass: 64 bits that (seed, pass_index) alone decide."""
    return int(np.random.SeedSequence([seed, pass_index]).generate_state(1, np.uint64)[0])


def how_many(n: int, examples: int | None) -> int:
    """`examples` of `n`, all if None; raises InputError as `example_order` does."""
    if examples is not None and examples > n:
        raise InputError(f"asked for {examples} examples, but there are {n}: ask for at most {n}")
    count = n if examples is None else examples
    if count < FEWEST:
        raise InputError(f"ask for at least {FEWEST} examples, got {count}")
    return count
