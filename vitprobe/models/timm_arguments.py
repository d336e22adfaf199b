"""What a checkpoint's weights tell of the arguments that a timm model was made with."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from vitprobe.models.architecture import Told
from vitprobe.models.shapes import counted, shape_of

PATCHES = "patch_embed.proj.weight"
MLP = "blocks.0.mlp.fc1.weight"


def told_arguments(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Told]:
    """Arguments of the model's class in which the weights differ from `model`.

    model: of this name, with the arguments that are known; it may lie on the meta device.
    A value without a reason is a guess: heads leave no trace in the weights.
    """
    taken = {name for kind in type(model).__mro__ for name in _parameters(kind)}
    own = {name: weight for name, weight in model.state_dict().items() if weight.ndim}
    told = _channels(model, own, state) | _tokens(model, own, state)
    told |= _widths(own, state, model) | _depth(own, state) | _parts(own, state)
    registers = "reg_tokens" if "reg_tokens" in taken else "num_reg_tokens"
    told = {registers if name == "reg_tokens" else name: each for name, each in told.items()}
    return {name: each for name, each in told.items() if name in taken}


def _parameters(kind: type) -> list[str]:
    return list(inspect.signature(kind.__init__).parameters) if kind is not object else []


def _channels(model: nn.Module, own: Mapping[str, Tensor], state: Mapping[str, Tensor]):
    """`in_chans` from the first convolution, which timm's configuration names."""
    first = getattr(model, "pretrained_cfg", {}).get("first_conv") or ()
    key = f"{first if isinstance(first, str) else next(iter(first), '')}.weight"
    shape, default = shape_of(state, key, 4), shape_of(own, key, 4)
    if shape and default and shape[1] != default[1]:
        return {"in_chans": Told(shape[1], f"{key} {shape}")}
    return {}


def _tokens(model: nn.Module, own: Mapping[str, Tensor], state: Mapping[str, Tensor]):
    """Class and register tokens, and whether they have places in the positional embedding."""
    told: dict[str, Told] = {}
    if "pos_embed" not in state or "pos_embed" not in own:
        return told
    has_class, registers = "cls_token" in state, shape_of(state, "reg_token", 3)
    if has_class != ("cls_token" in own):
        told["class_token"] = Told(has_class, "cls_token" if has_class else "no cls_token")
    count, own_count = registers[1] if registers else 0, len(own.get("reg_token", [[]])[0])
    if count != own_count:
        told["reg_tokens"] = Told(count, f"reg_token {registers}" if registers else "no reg_token")
    normed = "fc_norm.weight" in state
    if normed != ("fc_norm.weight" in own):
        told["fc_norm"] = Told(normed, "fc_norm.weight" if normed else "no fc_norm")
    if (normed or not has_class) and getattr(model, "global_pool", "") == "token":
        told["global_pool"] = Told("avg", "fc_norm.weight" if normed else "no cls_token")
        told.setdefault("fc_norm", Told(normed, "fc_norm.weight" if normed else "no fc_norm"))
    shape, prefix = shape_of(state, "pos_embed", 3), has_class + count
    if shape and prefix and "dist_token" not in state:
        without, with_them = _is_square(shape[1]), _is_square(shape[1] - prefix)
        if without != with_them and without != bool(getattr(model, "no_embed_class", False)):
            told["no_embed_class"] = Told(without, f"pos_embed {shape}")
    return told


def _widths(own: Mapping[str, Tensor], state: Mapping[str, Tensor], model: nn.Module):
    """Patch, width, heads and MLP."""
    told: dict[str, Told] = {}
    shape, default = shape_of(state, PATCHES, 4), shape_of(own, PATCHES, 4)
    if not shape or not default:
        return told
    because = f"{PATCHES} {shape}"
    if shape[2:] != default[2:]:
        patch = shape[2:] if shape[2] != shape[3] else shape[2]
        told["patch_size"] = Told(patch, because)
    if shape[0] != default[0]:
        told["embed_dim"] = Told(shape[0], because)
        told["num_heads"] = Told(_heads(shape[0], default[0], model))
    hidden, own_hidden = shape_of(state, MLP, 2), shape_of(own, MLP, 2)
    if hidden and own_hidden and hidden[0] * own_hidden[1] != own_hidden[0] * hidden[1]:
        ratio = hidden[0] / hidden[1]  # timm cuts dim x ratio to a whole number
        exact = int(hidden[1] * ratio) == hidden[0]
        told["mlp_ratio"] = Told(
            ratio if exact else (hidden[0] + 0.5) / hidden[1], f"{MLP} {hidden}"
        )
    return told


def _heads(width: int, own_width: int, model: nn.Module) -> int:
    """Heads as wide as the name's own, or of 64 or 32 dimensions, whichever divide the width."""
    attention = next((m for m in model.modules() if hasattr(m, "num_heads")), None)
    each = own_width // attention.num_heads if attention is not None else 64
    return next((width // w for w in (each, 64, 32) if width % w == 0), 1)


def _depth(own: Mapping[str, Tensor], state: Mapping[str, Tensor]):
    told, default = counted(state, r"blocks\.(\d+)\."), counted(own, r"blocks\.(\d+)\.")
    differ = told and default and told["depth"].value != default["depth"].value
    return told if differ else {}


def _parts(own: Mapping[str, Tensor], state: Mapping[str, Tensor]):
    """Parts of a block that are there or not."""
    told: dict[str, Told] = {}
    if "blocks.0.norm1.weight" not in state or "blocks.0.norm1.weight" not in own:
        return told
    values: dict[str, tuple[str, Any, Any]] = {
        "init_values": ("blocks.0.ls1.gamma", 1e-5, None),
        "qkv_bias": ("blocks.0.attn.qkv.bias", True, False),
        "qk_norm": ("blocks.0.attn.q_norm.weight", True, False),
        "pre_norm": ("norm_pre.weight", True, False),
    }
    for name, (key, there, absent) in values.items():
        if (key in state) != (key in own):
            is_there = key in state
            told[name] = Told(there if is_there else absent, key if is_there else f"no {key}")
    return told


def _is_square(count: int) -> bool:
    return count > 0 and math.isqrt(count) ** 2 == count
