"""What a source's models would be like, mostly without memory or work."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Size, Tensor, nn
from torch.overrides import TorchFunctionMode

from vitprobe.errors import InputError, brief
from vitprobe.models.source import Frame, Source
from vitprobe.models.weight_sets import plain_name

# What fills weights. On the meta device there is nothing to be filled, and torch finds that out in
# Python, slowly.
FILLS = frozenset(
    [getattr(nn.init, name) for name in ("constant_", "kaiming_uniform_", "normal_", "uniform_")]
    + [getattr(Tensor, name) for name in ("add_", "clamp_", "erfinv_", "fill_", "mul_")]
    + [getattr(Tensor, name) for name in ("normal_", "uniform_", "zero_")]
)


@dataclass(frozen=True)
class Outline:
    """The weights of a source's model at its default size.

    shapes: plain name -> shape. classifier: those whose first dimension follows the class count.
    """

    shapes: dict[str, Size]
    classifier: tuple[str, ...]


def built(source: Source, num_classes: int | None, size: Frame | None) -> nn.Module:
    """The source's model; whatever goes wrong becomes an InputError."""
    try:
        return source.build(num_classes, size)
    except InputError:
        raise
    except Exception as error:  # libraries and users' code raise anything
        at = f" at {size[0]} x {size[1]} px" if size else ""
        raise InputError(f"cannot build {source.name}{at}: {brief(error)}") from error


class _Unfilled(TorchFunctionMode):
    """Leaves weights on the meta device unfilled."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in FILLS:
            tensor = args[0] if args else kwargs["tensor"]  # the second by nn.init
            if tensor.is_meta:
                return tensor
        return func(*args, **kwargs)


def outline(source: Source, num_classes: int, size: Frame | None) -> nn.Module:
    """The source's model, on the meta device if it can be built there."""
    try:
        with torch.device("meta"), _Unfilled():  # shapes without memory or work
            return source.build(num_classes, size)
    except Exception:  # some models compute with their weights while they are built
        return built(source, num_classes, size)


def weight_shapes(source: Source, num_classes: int, size: Frame | None) -> dict[str, Size]:
    """Plain name -> shape of every weight that the source's model would have."""
    state = outline(source, num_classes, size).state_dict()
    tensors = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    return {plain_name(key): value.shape for key, value in tensors.items()}


def outlined(source: Source) -> Outline:
    """Shapes and classifier, from two models that differ in their class count."""
    size = source.default_size(None)
    shapes, others = (weight_shapes(source, classes, size) for classes in (2, 3))
    head = [key for key, shape in shapes.items() if shape[:1] == (2,) and others[key][:1] == (3,)]
    return Outline(shapes, tuple(head))
