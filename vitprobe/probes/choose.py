"""A penalty chosen on training examples that were held out."""

from collections.abc import Iterable
from hashlib import blake2b

import torch
from torch import Tensor

from vitprobe.ops.wide import wide

RIDGE_POWERS = range(-6, 3)
LOGISTIC_POWERS = range(-4, 2)  # far below, weights grow without end where classes are separable


def l2_candidates(energy: float, powers: Iterable[int]) -> list[float]:
    """Penalties to choose from: energy x 10^power, so that the features' scale does not matter.

    energy: sum over examples of the squares of a centred feature, mean over features (the trace
    of the centred Gram matrix over p); of standardised features the number of examples.
    """
    return [energy * 10.0**power for power in powers] if energy > 0 else [1.0]


def held_out(x: Tensor, labels: Tensor, fraction: float, seed: int) -> Tensor:
    """Which examples a penalty is chosen on: (n,) bool, on the CPU.

    Of each class with two examples or more the share `fraction`, at least one and never all. Which
    ones depends on the examples and the seed, not on the order of the examples: those whose
    features have the lowest hash.

    Args:
        x: (n, p) features.
        labels: (n,) integers.
        fraction: between 0 and 1.
        seed: 0 or more, another one holds out others.
    """
    key = seed.to_bytes(8, "little")
    rows = wide(x).cpu().contiguous().numpy() + 0.0  # -0 is 0
    hashes = [blake2b(row.tobytes(), digest_size=8, key=key).digest() for row in rows]
    order = sorted(range(len(rows)), key=hashes.__getitem__)
    members: dict[int, list[int]] = {}
    for at, label in zip(order, labels[torch.tensor(order)].tolist(), strict=True):
        members.setdefault(label, []).append(at)
    out = torch.zeros(len(rows), dtype=torch.bool)
    for indices in members.values():
        count = min(max(round(fraction * len(indices)), 1), len(indices) - 1)
        out[indices[:count]] = True
    return out


def best(accuracies: dict[float, float]) -> float:
    """The penalty with the highest accuracy; of equal ones the largest penalty."""
    return max(accuracies, key=lambda l2: (round(accuracies[l2], 12), l2))
