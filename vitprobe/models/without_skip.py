"""A model without the skips of one of its blocks (Raghu et al. 2021, section 5 and Fig. 8)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vitprobe.errors import InputError, brief
from vitprobe.models.blocks import block_paths
from vitprobe.models.residual import residual_sums
from vitprobe.models.sum_calls import SumCall, SumKey, sum_calls

ARGUMENT = "remove_skip"  # in a model spec, and in a checkpoint's architecture
MOST = 4095  # the number of a block, as a file may tell it


def checked_block(value: Any) -> int | None:
    """The number of a block, counted from 0, or None.

    Raises InputError for what is neither.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is None or (whole and 0 <= value <= MOST):
        return value
    raise InputError(f"{ARGUMENT} is the number of a block, 0 or more, got {value!r}")


def remove_skip(model: nn.Module, block: int, images: Tensor) -> str:
    """Make every residual sum z + f(z) of that block f(z), here and in all that is copied from it.

    Weights, their names and the model's class stay as they are. Of a block that changes the size
    the shortcut is not used either: its weights are still there, and idle.

    Args:
        block: its number among the blocks, counted from 0.
        images: (n, C, H, W) such as the model takes, on which it is tried.

    Returns:
        The block's path.

    Raises:
        InputError: no such block, or one without skips; the model fails on the images.
    """
    paths = block_paths(model)
    if not paths:
        raise InputError(f"no blocks found in this model: {ARGUMENT} does not apply")
    if block >= len(paths):
        raise InputError(
            f"{ARGUMENT} {block}: the model has {len(paths)} blocks, 0 ({paths[0]}) to "
            f"{len(paths) - 1} ({paths[-1]})"
        )
    path = paths[block]
    try:
        sums = [each for each in residual_sums(model, images) if each.block == path]
    except Exception as error:  # of any module
        size = "x".join(map(str, images.shape[1:]))
        raise InputError(
            f"{ARGUMENT} {block}: the model fails on images of {size} ({brief(error)})"
        ) from error
    if not sums:
        raise InputError(f"{ARGUMENT} {block}: no skip was found in {path}")
    module = model.get_submodule(path)
    inside = {_within(each.key, path): each for each in sums}

    def act(key: SumKey, call: SumCall) -> Tensor:
        each = inside.get(key)
        return call.add() if each is None else each.without_skip(call)

    kind = type(module)

    def called(self, *args, **kwargs):
        with sum_calls(self, act):
            return kind.__call__(self, *args, **kwargs)

    # of the same name, and a class: so copies of the model (averaged weights) are without it, too
    module.__class__ = type(
        kind.__name__, (kind,), {"__call__": called, "__module__": kind.__module__}
    )
    return path


def _within(key: SumKey, block: str) -> SumKey:
    """Of a sum inside a block, as it is counted there."""
    return key._replace(module=key.module.removeprefix(block).removeprefix("."), call=1)
