"""Labels of a probe: what can be learnt from them."""

import torch
from torch import Tensor

from vitprobe.errors import InputError


def check_labels(labels: Tensor, classes: int) -> None:
    """Raises `InputError` unless labels (n,) are integers from 0 to classes - 1."""
    kind = labels.dtype
    if labels.ndim != 1 or kind.is_floating_point or kind.is_complex or kind == torch.bool:
        raise InputError(f"labels must be (n,) integers, not {tuple(labels.shape)} {kind}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0].item()
        raise InputError(f"labels of {classes} classes are 0 to {classes - 1}: there is {wrong}")


def check_learnable(labels: Tensor, what: str = "the training examples") -> None:
    """Raises `InputError` where there are fewer than two classes among labels (n,)."""
    there = labels.unique()
    if len(there) < 2:
        found = f"all of class {there.item()}" if len(there) else "none"
        raise InputError(f"a probe tells classes apart: {what} are {found}; give two or more")
