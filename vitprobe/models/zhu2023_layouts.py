"""Checkpoints of `vit-zhu2023` and its near relatives, the layouts that vit-pytorch has had."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from vitprobe.errors import InputError
from vitprobe.models.architecture import Told
from vitprobe.models.checkpoints import Checkpoint
from vitprobe.models.shapes import counted, shape_of
from vitprobe.models.vit_zhu2023 import HEAD_DIM, NAME

BRANCH = re.compile(r"(transformer\.layers\.\d+\.[01])\.(?:fn\.)*(.+)")
# The newer layouts begin an MLP with its norm, which shifts what follows.
NET_WITH_NORM = {"net.0": "norm", "net.1": "net.0", "net.4": "net.3"}
# A norm at the transformer's end, and a bare matrix for a head, are the norm and matrix of a head.
LAST = {"transformer.norm": "mlp_head.0", "mlp_head": "mlp_head.1"}


def in_native_layout(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with the keys and shapes that `ViTZhu2023` has.

    Read besides its own layout (`layers.0.0.fn.norm`, `layers.0.0.fn.fn.to_qkv`): with one `fn`
    less, or none (`layers.0.0.norm`, `layers.0.0.to_qkv`, the MLP's norm as `net.0`); tokens and
    positions without the batch dimension, and no row where there is no class token; a norm at the
    transformer's end with a head that has none.
    Raises InputError where such a norm comes before averaging: that is another model.
    """
    state = {_native(key, checkpoint.state): value for key, value in checkpoint.state.items()}
    if len(state) != len(checkpoint.state):
        raise InputError(
            f"checkpoint {checkpoint.path} mixes layouts of {NAME}: two of its keys are the same "
            "weight; save the weights of one model"
        )
    for key in ("cls_token", "pos_embedding"):
        if key in state and state[key].ndim == 2:
            state[key] = state[key][None]
    if "cls_token" in state and not state["cls_token"].numel():
        del state["cls_token"]
    averages = "pos_embedding" in state and "cls_token" not in state
    if averages and "transformer.norm.weight" in checkpoint.state:
        raise InputError(
            f"checkpoint {checkpoint.path} norms its tokens (transformer.norm) before it averages "
            f"them, which {NAME} does not: name the model they belong to"
        )
    return replace(checkpoint, state=state)


def zhu2023_told(checkpoint: Checkpoint) -> dict[str, Told]:
    """The options that the weights tell, in the native layout: all but dropout.

    Besides, `patch_norms` and `project_out` of `ViTZhu2023`.
    Raises InputError where the attention is not made of heads of 64 dimensions.
    """
    state, told = checkpoint.state, {}
    norms = shape_of(state, "to_patch_embedding.1.weight", 1) is not None
    key = f"to_patch_embedding.{2 if norms else 1}.weight"
    if shape := shape_of(state, key, 2):
        told["patch_norms"] = Told(norms, key)
        told["dim"] = Told(shape[0], f"{key} {shape}")
        told["patch_size"] = Told(math.isqrt(shape[1] // 3), f"{key} {shape}")
    branch = "transformer.layers.0.0.fn.fn"
    if shape := shape_of(state, f"{branch}.to_qkv.weight", 2):
        projects = f"{branch}.to_out.0.weight" in state
        told["project_out"] = Told(projects, branch)
        told["heads"] = _heads(checkpoint, f"{branch}.to_qkv.weight {shape}", shape, projects)
    key = "transformer.layers.0.1.fn.fn.net.0.weight"
    if shape := shape_of(state, key, 2):
        told["mlp_dim"] = Told(shape[0], f"{key} {shape}")
    if shape_of(state, "pos_embedding", 3):
        has_token = "cls_token" in state
        told["pool"] = Told("cls", "cls_token") if has_token else Told("mean", "no cls_token")
    return told | counted(state, r"transformer\.layers\.(\d+)\.")


def _heads(checkpoint: Checkpoint, because: str, shape: tuple, projects: bool) -> Told:
    if not projects:
        return Told(1, f"no to_out behind {because}")
    inner = shape[0] // 3
    if inner % HEAD_DIM:
        raise InputError(
            f"checkpoint {checkpoint.path} is no {NAME}: its attention is {inner} wide "
            f"({because}), which heads of {HEAD_DIM} do not make up"
        )
    return Told(inner // HEAD_DIM, because)


def _native(key: str, state: Mapping[str, Tensor]) -> str:
    if match := BRANCH.fullmatch(key):
        branch, rest = match.groups()
        part, _, last = rest.rpartition(".")
        begins_with_norm = state.get(f"{branch}.net.0.weight")
        if begins_with_norm is not None and begins_with_norm.ndim == 1:
            part = NET_WITH_NORM.get(part, part)
        return f"{branch}.fn.{part}.{last}" if part == "norm" else f"{branch}.fn.fn.{part}.{last}"
    part, _, last = key.rpartition(".")
    return f"{LAST[part]}.{last}" if part in LAST else key
