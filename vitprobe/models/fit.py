"""A checkpoint and a model: putting the weights in, all of them, and saying what was left out."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import nn

from vitprobe.errors import InputError
from vitprobe.models.checkpoints import Checkpoint
from vitprobe.models.outline import outlined
from vitprobe.models.source import Source
from vitprobe.models.weight_sets import is_counter, plain_name

# First parts of names of weights without which a model is another model: not to be left out.
PART_OF_THE_TRUNK = re.compile(
    r"(cls|class|reg|register|dist)\w*_tokens?|pos\w*_embed\w*|(fc_)?norm\w*"
)


def new_head_keys(source: Source) -> Sequence[str]:
    """The classifier's weights; InputError where there are none to be drawn anew."""
    keys = outlined(source).classifier
    if not keys:
        raise InputError(
            f"{source.name} has no classifier whose size follows num_classes, so that none can be "
            "drawn anew: give its callable a parameter num_classes, or use a model that has one"
        )
    return keys


def load_weights(
    model: nn.Module, checkpoint: Checkpoint, name: str, but: Collection[str] = ()
) -> list[str]:
    """Copy a checkpoint's weights into a model; every weight of the model must be there and fit.

    but: plain names of weights that are left as they are, and may be absent or of another shape.

    Returns the names of the checkpoint's weights that the model does not have: of modules that are
    none of its own, such as a decoder. Batch norm's counters and other whole numbers that a model
    computes when it is built may be missing.
    Raises InputError that names some of the keys, or the first shape, that don't fit.
    """
    state, extra = fitting(model, checkpoint, name, but)
    model.load_state_dict(state, strict=False)
    computed = {plain_name(key) for key, _ in model.named_buffers()}
    return [key for key in extra if key not in computed]


def fitting(
    model: nn.Module, checkpoint: Checkpoint, name: str, but: Collection[str] = ()
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """What `load_weights` copies, by the model's own names, and the names of what it leaves out.

    model: it may lie on the meta device. Raises InputError as `load_weights` does.
    """
    wanted = {plain_name(key): (key, value) for key, value in _tensors(model).items()}
    wanted = {key: value for key, value in wanted.items() if key not in but}
    state = {key: value for key, value in checkpoint.state.items() if key not in but}
    missing = [
        key for key, (_, value) in wanted.items() if key not in state and value.is_floating_point()
    ]
    extra = [key for key in state if key not in wanted]
    unexpected = [key for key in extra if not _may_be_left_out(key, model)]
    if missing or unexpected:
        raise InputError(
            f"checkpoint {checkpoint.path} does not fit {name}: of the model's {len(wanted)} keys "
            f"{len(missing)} are missing{_few(missing)} and {len(extra)} of the checkpoint's "
            f"{len(state)} are unexpected{_few(unexpected or extra)}; name the model they belong to"
        )
    state = {key: value for key, value in state.items() if key in wanted}
    for key, value in state.items():
        if wanted[key][1].is_floating_point() and not value.is_floating_point():
            raise InputError(
                f"checkpoint {checkpoint.path} does not fit {name}: {key} is of {value.dtype}, and "
                "the model computes with real numbers: save its weights as float32"
            )
    wrong = [key for key in state if state[key].shape != wanted[key][1].shape]
    if wrong:
        key = wrong[0]
        raise InputError(
            f"checkpoint {checkpoint.path} does not fit {name}: {key} is "
            f"{tuple(state[key].shape)} in the checkpoint and {tuple(wanted[key][1].shape)} in the "
            f"model ({len(wrong)} of {len(state)} shapes differ)"
        )
    return {wanted[key][0]: value for key, value in state.items()}, extra


def replace_head(model: nn.Module, fresh: nn.Module, keys: Collection[str]) -> None:
    """Put the classifier of `fresh`, the modules that hold these weights, into `model`.

    Both are models of one name; the rest of `model` stays as it is, which may differ from `fresh`
    in what is no weight (a torchvision preset changes its input, or leaves out a second head).
    """
    theirs, own = dict(fresh.named_modules()), dict(model.named_modules())
    for path in _modules_of(keys):
        if path in own:
            model.set_submodule(path, theirs[path])
    for path, module in own.items():  # what a module states of itself
        classes = getattr(theirs.get(path), "num_classes", None)
        if isinstance(classes, int) and hasattr(module, "num_classes"):
            module.num_classes = classes


def drop_head(model: nn.Module, keys: Collection[str]) -> None:
    """Make the classifier, the modules that hold these weights, the identity."""
    real = {plain_name(key): key for key in _tensors(model)}
    for path in _modules_of([real[key] for key in keys if key in real]):
        model.set_submodule(path, nn.Identity())
    for module in model.modules():
        if isinstance(getattr(module, "num_classes", None), int):
            module.num_classes = 0


def _may_be_left_out(key: str, model: nn.Module) -> bool:
    """Whether a weight that the model lacks is of another part (a decoder, a projection head), or
    computed anew when the model is built; not where it belongs to a part that the model has."""
    if is_counter(key) or key in {plain_name(name) for name, _ in model.named_buffers()}:
        return True
    own = {plain_name(name).partition(".")[0] for name, _ in model.named_parameters()}
    own |= {name for name, _ in model.named_children()}
    first = key.partition(".")[0]
    return first not in own and not PART_OF_THE_TRUNK.fullmatch(first)


def _modules_of(keys: Collection[str]) -> list[str]:
    return list(dict.fromkeys(key.rpartition(".")[0] for key in keys))


def _tensors(model: nn.Module) -> Mapping[str, torch.Tensor]:
    state = model.state_dict()
    return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}


def _few(keys: list[str]) -> str:
    if not keys:
        return ""
    return f" ({', '.join(keys[:3])}{' ...' if len(keys) > 3 else ''})"
