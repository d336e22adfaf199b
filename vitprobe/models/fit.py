"""A checkpoint and a model: what the weights say about the model, and putting them in."""

from __future__ import annotations

from collections.abc import Collection, Mapping

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


def classifier_keys(source: Source) -> tuple[list[str], dict[str, torch.Size]]:
    """The classifier's weights, whose first dimension follows the class count; all shapes of the
    model at its default size."""
    size = source.default_size(None)
    shapes, others = (weight_shapes(source, classes, size) for classes in (2, 3))
    head = [key for key, shape in shapes.items() if shape[:1] == (2,) and others[key][:1] == (3,)]
    return head, shapes


def classes_and_sizes(
    source: Source, checkpoint: Checkpoint
) -> tuple[int | None, str, SizeRange | None]:
    """What a checkpoint was made for: (classes, the keys that say so, image sizes).

    None and "" where the weights don't tell.
    """
    keys, shapes = classifier_keys(source)
    state = checkpoint.state
    head = [key for key in keys if key in state and state[key].ndim]
    classes = state[head[0]].shape[0] if head else None
    because = ", ".join(f"{key} {tuple(state[key].shape)}" for key in head)
    return classes, because, source.sizes(state, shapes)


def new_head_keys(source: Source) -> list[str]:
    """`classifier_keys`' first; InputError where there are none to be drawn anew."""
    keys, _ = classifier_keys(source)
    if not keys:
        raise InputError(
            f"{source.name} has no classifier whose size follows num_classes, so that none can be "
            "drawn anew: give its callable a parameter num_classes, or use a model that has one"
        )
    return keys


def load_weights(
    model: nn.Module, checkpoint: Checkpoint, name: str, but: Collection[str] = ()
) -> None:
    """Copy a checkpoint's weights into a model; every one must be there and fit.

    but: plain names of weights that are left as they are, and may be absent or of another shape.

    Raises InputError that names some of the keys, or the first shape, that don't. Batch norm's
    counters, which old checkpoints lack, may be missing.
    """
    wanted = {plain_name(key): (key, value) for key, value in _tensors(model).items()}
    wanted = {key: value for key, value in wanted.items() if key not in but}
    state = {key: value for key, value in checkpoint.state.items() if key not in but}
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


def replace_head(model: nn.Module, fresh: nn.Module, keys: Collection[str]) -> None:
    """Put the classifier of `fresh`, the modules that hold these weights, into `model`.

    Both are models of one name; the rest of `model` stays as it is, which may differ from `fresh`
    in what is no weight (a torchvision preset changes its input, or leaves out a second head).
    """
    paths = dict.fromkeys(key.rpartition(".")[0] for key in keys)
    theirs, own = dict(fresh.named_modules()), dict(model.named_modules())
    for path in paths:
        if path in own:
            model.set_submodule(path, theirs[path])
    for path, module in own.items():  # what a module states of itself
        classes = getattr(theirs.get(path), "num_classes", None)
        if isinstance(classes, int) and hasattr(module, "num_classes"):
            module.num_classes = classes


def _tensors(model: nn.Module) -> Mapping[str, torch.Tensor]:
    state = model.state_dict()
    return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}


def _few(keys: list[str]) -> str:
    if not keys:
        return ""
    return f" ({', '.join(keys[:3])}{' ...' if len(keys) > 3 else ''})"
