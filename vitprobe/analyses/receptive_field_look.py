"""What is known of a model's receptive fields before images count: from two images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vitprobe.analyses.receptive_field_conventions import CONVENTIONS, signed
from vitprobe.analyses.receptive_field_targets import targets_of
from vitprobe.errors import InputError, brief
from vitprobe.passes.inputs import failed
from vitprobe.passes.surveyed import Surveyed
from vitprobe.taps import as_found
from vitprobe.taps.image_gradients import (
    OVERWRITTEN,
    Target,
    forward,
    gradients,
    saved_bytes,
)
from vitprobe.taps.theoretical_box import Box, theoretical_box

_NOISE = 1e-4  # of the gradient of a sum with other signs: rounding in float32
_OUTSIDE = 1e-5  # of the largest gradient: convolutions that are done as products of transforms
_NORMALISES = ("NativeLayerNorm", "NativeGroupNorm", "Softmax")
SILENT = "it does not fire in a forward with gradients"
NO_GRADIENT = (
    "no gradient leads from it to the image: the model computes it without gradients "
    "(torch.no_grad), or it does not depend on the image"
)


@dataclass
class Fields:
    """One model's layers, in the order in which they come.

    targets: those that are computed. described: what a result tells of every layer, as JSON can
    hold it; `twin`: the layer whose very tensor it is; `signed`: whether its channels have signs.
    bytes_of_image: what a forward keeps of an image for the backward passes. copies: whether it is
    to copy that, since the model writes over it.
    """

    model: Surveyed
    targets: list[Target] = field(default_factory=list)
    described: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    bytes_of_image: int = 0
    copies: bool = False


@dataclass
class _Seen:
    target: Target
    place: tuple[int, int]
    channels: Tensor  # (2, C) at the centre, with their graph
    tensor: tuple  # what it is in the graph
    box: Box | str
    constant: bool  # whether the sum over channels may be so


def look(model: Surveyed, layers, residual: str, convention: str, notes: list[str]) -> Fields:
    """Everything of one model that the images do not change.

    Raises:
        InputError: no such layers, none that can be read, or no backward pass.
    """
    with as_found(model.subject.model), torch.inference_mode(False):
        try:
            targets, left_out, more = targets_of(model, layers, residual)
            notes += [f"{model.subject.label}: {note}" for note in more]
            fields = Fields(model, left_out=left_out)
            seen, leaf = _seen(fields, targets, convention)
            if not _goes_back(seen, leaf, model.subject.label):
                fields.copies = True
                seen, leaf = _seen(fields, targets, convention)
                _goes_back(seen, leaf, model.subject.label)
        except InputError:
            raise
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise failed(model.subject.label, model.images, error) from error
        _describe(fields, seen, leaf, convention)
    return fields


def _seen(fields: Fields, targets: list[Target], convention: str) -> tuple[list[_Seen], Tensor]:
    """What comes in a forward of two images, in that order; and these, a leaf."""
    model, way = fields.model, CONVENTIONS[convention]
    seen: list[_Seen] = []

    def take(target: Target, x: Tensor) -> None:
        if x.grad_fn is None:
            fields.left_out[target.name] = NO_GRADIENT
            return
        place = way.place(target.grid.rows, target.grid.columns)
        box = theoretical_box(x, place, target.grid.axes)
        tensor = (x.grad_fn, x.output_nr)
        channels = target.grid.at(x, place)
        seen.append(_Seen(target, place, channels, tensor, box, _normalised(x)))

    some = model.images[:2]
    with saved_bytes() as saved:
        leaf = forward(model.subject.model, some, targets, take, fields.copies)
    fields.bytes_of_image = max(fields.bytes_of_image, saved() // len(some))
    for target in targets:
        if target.name not in fields.left_out and all(each.target is not target for each in seen):
            fields.left_out[target.name] = SILENT
    if not seen:
        name = next(name for name, why in fields.left_out.items() if why in (NO_GRADIENT, SILENT))
        raise InputError(f"{model.subject.label}: {name}: {fields.left_out[name]}")
    return seen, leaf


def _goes_back(seen: list[_Seen], leaf: Tensor, label: str) -> bool:
    """Whether there is a backward pass of all, told now and not in a batch; False: the model writes
    over what it needs.

    Raises:
        InputError: there is none for another reason.
    """
    try:
        next(gradients([sum(each.channels.float().sum() for each in seen)], leaf))
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError) as error:
        if OVERWRITTEN in str(error):
            return False
        raise InputError(f"{label} has no backward pass to the image ({brief(error)})") from error
    return True


def _describe(fields: Fields, seen: list[_Seen], leaf: Tensor, convention: str) -> None:
    first: dict[tuple, str] = {}
    for each in seen:
        described = _described(fields.model, each, leaf, convention)
        described["twin"] = first.setdefault(each.tensor, each.target.name)
        described["twin"] *= described["twin"] != each.target.name
        fields.described.append(described)
        if not described["twin"]:
            fields.targets.append(each.target)


def _described(model: Surveyed, seen: _Seen, leaf: Tensor, convention: str) -> dict[str, Any]:
    height, width = model.image_size
    box = seen.box
    if isinstance(box, Box) and not box.covers(height, width):
        box = _checked(seen, leaf, box)
    known = isinstance(box, Box)
    grid = seen.target.grid
    point = box.point if known else grid.of_cell(seen.place, (height, width))
    return {
        "name": seen.target.name,
        "kind": seen.target.kind,
        "block": (seen.target.site or seen.target.sum).block,
        "grid": [grid.rows, grid.columns],
        "place": list(seen.place),
        "point": list(point),
        "box": box.side if known else None,
        "covers": known and box.covers(height, width),
        "no_box": "" if known else box,
        "signed": seen.constant and _is_constant(seen, leaf, convention),
    }


def _with_signs(seen: _Seen, leaf: Tensor) -> Tensor:
    """The absolute gradient of the sum of channels with signs."""
    return next(gradients([signed(seen.channels.float()).sum()], leaf)).abs()


def _checked(seen: _Seen, leaf: Tensor, box: Box) -> Box | str:
    """The box, if nothing comes from outside it."""
    gradient = _with_signs(seen, leaf).amax((0, 1))
    most = gradient.max()
    gradient[box.within(*gradient.shape)] = 0
    if gradient.max() > _OUTSIDE * most:
        return "not by kernels alone: what gives it reaches farther (a product mixes positions)"
    return box


def _normalised(x: Tensor) -> bool:
    """Whether it is what a normalisation or a softmax gives, however its axes lie."""
    node = x.grad_fn
    while node is not None and node.name().partition("Backward")[0] in (
        *("View", "UnsafeView", "ReshapeAlias", "Permute", "Transpose", "Clone", "Slice"),
    ):
        node = node.next_functions[0][0]
    return node is not None and any(name in node.name() for name in _NORMALISES)


def _is_constant(seen: _Seen, leaf: Tensor, convention: str) -> bool:
    value = CONVENTIONS[convention].value(seen.channels.float())
    own = next(gradients([value], leaf)).abs().amax()
    # a mean is smaller than a sum of as many signs by their number, a sum is not
    scale = seen.channels.shape[1] if convention != "replknet" else 1
    return bool(own * scale <= _NOISE * _with_signs(seen, leaf).amax())
