"""One array of examples as the measures take it: checked, float64, with the step of its type."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vitprobe.errors import InputError

CONSTANT = "constant activations"


class NoValue(Exception):
    """A measure has no value of this array; the message says why, in a few words."""


@dataclass(frozen=True)
class Given:
    """Examples of one array.

    x: (n, p) float64. step: the rounding step of the type that they came in.
    """

    x: Tensor
    step: float

    @cached_property
    def centred(self) -> Tensor:
        """x less the mean of each feature.

        Raises:
            NoValue: nothing but rounding is left: all examples are the same.
        """
        centred = self.x - self.x.mean(0)
        if is_constant(centred.square().sum(), self.x.square().sum(), self.step):
            raise NoValue(CONSTANT)
        return centred

    @cached_property
    def principal(self) -> tuple[Tensor, Tensor]:
        """Principal directions of the examples, (n, r) orthonormal, and singular values, largest
        first, without those that rounding alone could make."""
        centred = self.centred
        n, p = centred.shape
        if p > n and self.step > 1e-8:  # half of float64's digits are all that there are
            squares, basis = torch.linalg.eigh(centred @ centred.T)
            values, basis = squares.clamp(min=0).sqrt().flip(0), basis.flip(1)
        else:
            same = centred if p <= n else torch.linalg.qr(centred.T, mode="r").R.T
            basis, values, _ = torch.linalg.svd(same, full_matrices=False)
        there = values > max(n, p) ** 0.5 * self.step * values[0]
        return basis[:, there], values[there]


def is_constant(spread: Tensor, square: Tensor, step: float) -> Tensor:
    """Whether rounding alone could make examples differ as much.

    spread: sum of the squares of centred features. square: of the features themselves.
    """
    return ~(spread > step**2 * square)


def rounding(dtype: torch.dtype) -> float:
    """Relative to an example's norm, what two equal examples may differ by: steps of float32 and
    float64 that a matrix product leaves, one step of half precision."""
    return torch.finfo(dtype).eps * (8 if dtype.itemsize >= 4 else 1)


def given(x: Any, name: str) -> Given:
    """An array or tensor (n, p) of numbers, as the measures take it.

    Raises:
        InputError: another shape, no numbers, or one that is not finite.
    """
    tensor = _tensor(x, name)
    if tensor.ndim != 2:
        raise InputError(
            f"{name} has the shape {tuple(tensor.shape)}: give (examples, features); of "
            f"activations with more axes, {name}.reshape(len({name}), -1)"
        )
    if not tensor.numel():
        raise InputError(f"{name} holds nothing: its shape is {tuple(tensor.shape)}")
    kind = tensor.dtype if tensor.is_floating_point() else torch.float64
    wide = tensor.detach().to(torch.float64)
    if not wide.isfinite().all():
        bad = int((~wide.isfinite()).any(1).nonzero()[0])
        raise InputError(f"{name} holds NaN or infinity (first in example {bad}): leave it out")
    return Given(wide, rounding(kind))


def _tensor(x: Any, name: str) -> Tensor:
    if isinstance(x, Tensor):
        tensor = x
    else:
        array = np.asarray(x)
        if array.dtype.kind not in "fiub":
            raise InputError(f"{name} holds {array.dtype}: give an array of real numbers")
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype(np.float64)
        tensor = torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))))
    if tensor.is_complex():
        raise InputError(f"{name} holds {tensor.dtype}: give an array of real numbers")
    return tensor.cpu() if tensor.device.type == "mps" else tensor
