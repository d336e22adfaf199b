"""Where the examples are in an activation: found by experiment, not assumed to be axis 0.

An activation of n examples has one axis of size k n. Its index is (outer, example, inner) with
outer x inner = k: plain (k = 1), windows of an example one after the other (outer = 1; Swin), the
examples of one view one after the other (inner = 1; two crops stacked), or both.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import torch

SAMPLES = 2048  # positions compared per example; all of them in smaller activations

# Largest difference between two runs that is put down to rounding, relative to the site's scale: a
# matrix product rounds otherwise in another batch, and the layers above amplify it. For the short
# types about five times what they differ from float32 in deep networks (1.2 % and 0.2 %).
_ROUNDING = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
_ROUNDING_8_BIT = 5e-2  # the step of 8 bits depends on the batch where it is chosen dynamically
_ROUNDING_TF32 = 1e-2  # as long as float16; the default of convolutions on an NVIDIA GPU


@dataclass(frozen=True)
class ExampleAxis:
    """Axis `axis` of an activation has the size outer x examples x inner."""

    axis: int
    outer: int = 1
    inner: int = 1

    @property
    def folded(self) -> bool:
        """Has an example more than one slice of the axis?"""
        return self.outer * self.inner > 1

    def per_example(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one example in `view`."""
        inside = tuple(size for size in (self.outer, self.inner) if size > 1)
        return (*shape[: self.axis], *inside, *shape[self.axis + 1 :])

    def count(self, shape: tuple[int, ...], per_example: tuple[int, ...]) -> int | None:
        """Examples in a tensor of this shape; None if it is not `per_example` otherwise."""
        if self.axis >= len(shape):
            return None
        examples, rest = divmod(shape[self.axis], self.outer * self.inner)
        return None if rest or self.per_example(shape) != per_example else examples

    def view(self, x: torch.Tensor) -> torch.Tensor:
        """(n, ...): the examples first, the other axes in order, without a copy."""
        if not self.folded:
            return x.movedim(self.axis, 0) if self.axis else x
        sizes = [s for s in (self.outer, -1, self.inner) if s != 1]
        return x.unflatten(self.axis, sizes).movedim(self.axis + (self.outer > 1), 0)


def scaled_axis(
    shape: tuple[int, ...], examples: int, other: tuple[int, ...], other_examples: int
) -> tuple[int, int] | str:
    """(axis, k): the one axis of size k x examples in both shapes; or why there is none."""
    if len(shape) != len(other):
        return "its number of axes changes with the number of examples"
    changed = [axis for axis in range(len(shape)) if shape[axis] != other[axis]]
    if not changed:
        return "no example axis: its shape does not depend on the number of examples"
    if len(changed) > 1:
        return "mixes examples: more than one axis grows with the number of examples"
    axis = changed[0]
    k, rest = divmod(shape[axis], examples)
    if rest or shape[axis] * other_examples != other[axis] * examples:
        return "no example axis: none is proportional to the number of examples"
    return axis, k


def foldings(axis: int, k: int) -> list[ExampleAxis]:
    """How k slices per example may share the axis; an example's own side by side come first."""
    return [ExampleAxis(axis, outer, k // outer) for outer in range(1, k + 1) if k % outer == 0]


def sample(x: torch.Tensor, where: ExampleAxis) -> torch.Tensor:
    """(n, at most SAMPLES) float64 on the CPU: the same places of each example in every run."""
    view = where.view(x)
    picked = view[(slice(None), *_places(tuple(view.shape[1:]), x.device))]
    return picked.reshape(len(view), -1).cpu().double()


@lru_cache(maxsize=256)
def _places(shape: tuple[int, ...], device: torch.device) -> tuple[torch.Tensor, ...]:
    """Index tensors of random places: regular strides would meet the same channels again."""
    total = prod(shape)
    if total <= SAMPLES:
        flat = torch.arange(total)
    else:
        seeded = torch.Generator().manual_seed(0)
        flat = torch.randint(total, (SAMPLES,), generator=seeded).sort().values
    return tuple(index.to(device) for index in torch.unravel_index(flat, shape)) if shape else ()


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """Root mean square of a - b relative to that of b; equal NaN and infinities count as equal."""
    same = (a == b) | (a.isnan() & b.isnan())
    error = torch.where(same, 0.0, a - b).square().mean().sqrt().item()
    if error == 0.0:
        return 0.0
    scale = b[b.isfinite()].square().mean().sqrt().item()
    relative = error / scale if scale else float("inf")
    return relative if relative == relative else float("inf")  # NaN against a number


def rounding(dtypes: set[torch.dtype], device: torch.device, quantised: bool = False) -> float:
    """The tolerance of a model in which activations of these types were seen.

    quantised: whether any of its modules computes in 8 bits.
    """
    tolerance = max((_ROUNDING[dtype] for dtype in dtypes if dtype in _ROUNDING), default=0.0)
    if device.type == "cuda" and torch.float32 in dtypes:
        tolerance = max(tolerance, _ROUNDING_TF32)
    return max(tolerance, _ROUNDING_8_BIT) if quantised else tolerance
