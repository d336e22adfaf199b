"""A checkpoint and a model: what the weights say about the model, and putting them in."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from vitprobe.errors import InputError
from vitprobe.models.checkpoints import Checkpoint, plain_name
from vitprobe.models.source import Frame, SizeRange, Source, brief


def built(source: Source, num_classes: int | None, size: Frame | None) -> nn.Module:
    """The source's model; whatever goes wrong becomes an InputError."""
    try:
        return source.build(num_classes, size)
    except InputError:
        raise
    except Exception as error:  # libraries and users' code raise anything
        at = f" at {size[0]} x {size[1]} px" if size else ""
        raise InputError(f"cannot build {source.name}{at}: {brief(error)}") from error


def weight_shapes(source: Source, num_classes: int, size: Frame | None) -> dict[str, torch.Size]:
    """Plain name -> shape of every weight that the source's model would have."""
    try:
        with torch.device("meta"):  # shapes without memory or work
            model = source.build(num_classes, size)
    except Exception:  # some models compute with their weights while they are built
        model = built(source, num_classes, size)
    return {plain_name(key): value.shape for key, value in _tensors(model).items()}


def classes_and_sizes(
    source: Source, checkpoint: Checkpoint
) -> tuple[int | None, str, SizeRange | None]:
    """What a checkpoint was made for: (classes, the keys that say so, image sizes).

    The classifier's weights are those whose first dimension follows the class count.
    None and "" where the weights don't tell.
    """
    size = source.default_size(None)
    shapes, others = (weight_shapes(source, classes, size) for classes in (2, 3))
    state = checkpoint.state
    head = [
        key
        for key, shape in shapes.items()
        if shape[:1] == (2,) and others[key][:1] == (3,) and key in state and state[key].ndim
    ]
    classes = state[head[0]].shape[0] if head else None
    because = ", ".join(f"{key} {tuple(state[key].shape)}" for key in head)
    return classes, because, source.sizes(state, shapes)


def load_weights(model: nn.Module, checkpoint: Checkpoint, name: str) -> None:
    """Copy a checkpoint's weights into a model; every one must be there and fit.

    Raises InputError that names some of the keys, or the first shape, that don't. Batch norm's
    counters, which old checkpoints lack, may be missing.
    """
    wanted = {plain_name(key): (key, value) for key, value in _tensors(model).items()}
    state = checkpoint.state
    missing = [
        key for key in wanted if key not in state and not key.endswith("num_batches_tracked")
    ]
    unexpected = [key for key in state if key not in wanted]
    if missing or unexpected:
        raise InputError(
            f"checkpoint {checkpoint.path} does not fit {name}: of the model's {len(wanted)} keys "
            f"{len(missing)} are missing{_few(missing)} and {len(unexpected)} of the checkpoint's "
            f"{len(state)} are unexpected{_few(unexpected)}; name the model they belong to"
        )
    wrong = [key for key in state if state[key].shape != wanted[key][1].shape]
    if wrong:
        key = wrong[0]
        raise InputError(
            f"checkpoint {checkpoint.path} does not fit {name}: {key} is "
            f"{tuple(state[key].shape)} in the checkpoint and {tuple(wanted[key][1].shape)} in the "
            f"model ({len(wrong)} of {len(state)} shapes differ)"
        )
    model.load_state_dict({wanted[key][0]: value for key, value in state.items()}, strict=False)


def _tensors(model: nn.Module) -> Mapping[str, torch.Tensor]:
    state = model.state_dict()
    return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}


def _few(keys: list[str]) -> str:
    if not keys:
        return ""
    return f" ({', '.join(keys[:3])}{' ...' if len(keys) > 3 else ''})"
