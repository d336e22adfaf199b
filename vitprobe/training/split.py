"""Which training images serve: a validation share, and a class-balanced part of the others."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from vitprobe.errors import InputError


def split_rows(
    labels: np.ndarray, *, validation: float, fraction: float, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows to train on and rows to validate on: two sorted int64 tensors without a common row.

    labels: int64 (N,), class indices of the training set.
    validation: share of every class that is set aside, in (0, 0.5]; rounded half up, at least one
        image of a class that has two or more, and never all.
    fraction: share of the other images of every class that is trained on, in (0, 1]. For the same
        seed a smaller fraction's rows are among a larger one's; the validation rows are the same
        for all.

    Raises InputError for images without a class, shares out of range, and a class of which the
    fraction would leave no image.
    """
    if not 0 < validation <= 0.5:
        raise InputError(f"the validation share must be above 0 and at most 0.5, got {validation}")
    if not 0 < fraction <= 1:
        raise InputError(f"the fraction must be above 0 and at most 1, got {fraction}")
    unknown = int((labels < 0).sum())
    if unknown:
        raise InputError(
            f"{unknown} of {len(labels)} images have no class: training needs one folder or "
            "label for each class"
        )
    trained, validated = [], []
    for rows in _by_class(labels, seed):
        aside = min(max(_share(validation, len(rows)), 1), len(rows) - 1)
        rest = rows[aside:]
        kept = _share(fraction, len(rest))
        if not kept:
            raise InputError(
                f"a fraction of {fraction} leaves no image of class {labels[rows[0]]}, which has "
                f"{len(rest)} beside those for validation: take "
                f"{math.ceil(500 / len(rest)) / 1000} or more"
            )
        validated.append(rows[:aside])
        trained.append(rest[:kept])
    return _sorted(trained), _sorted(validated)


def _by_class(labels: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """The rows of each class that occurs, in an order that the seed and N decide."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    _, starts = np.unique(labels[order], return_index=True)
    yield from np.split(order, starts[1:])


def _share(share: float, count: int) -> int:
    """Rounded half up, also where the product misses the half by a last bit."""
    return math.floor(round(share * count, 6) + 0.5)


def _sorted(parts: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.sort(np.concatenate(parts)).astype(np.int64))
