"""A small Vision Transformer for small images (Dosovitskiy et al. 2020, arXiv 2010.11929)."""

from __future__ import annotations

import torch
from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from vitprobe.errors import InputError
from vitprobe.models.architecture import Architecture, Told, check_heads
from vitprobe.models.checkpoints import Checkpoint
from vitprobe.models.shapes import counted, shape_of
from vitprobe.models.source import check_patches

DEFAULTS: Architecture = {
    "patch_size": 4,
    "dim": 128,
    "heads": 4,
    "depth": 6,
    "mlp_dim": 512,
    "dropout": 0.0,
    "pool": "cls",
}

POSITION_STD = 0.5  # of the positions' first values; patches' tokens start at about the same
WAVELENGTH = 100.0  # the longest, over 2 pi, in patches


def vit(
    num_classes: int = 10,
    image_size: int = 32,
    *,
    patch_size: int = 4,
    dim: int = 128,
    heads: int = 4,
    depth: int = 6,
    mlp_dim: int = 512,
    dropout: float = 0.0,
    pool: str = "cls",
    in_chans: int = 3,
) -> nn.Module:
    """timm's VisionTransformer; with the defaults at 32 px about 1.2 M parameters.

    image_size: pixels, a multiple of patch_size.
    dropout: after the embedding, after each attention's projection and in the MLPs.
    pool: "cls" reads the class token; "mean" has none and averages the patches.
    Images (B, in_chans, image_size, image_size) -> (B, num_classes).
    Raises InputError for another image size, heads that do not divide dim, and a dim that is no
    multiple of 4.
    """
    check_patches("vit", (image_size, image_size), (patch_size, patch_size))
    check_heads("vit", dim, heads)
    if dim % 4:
        raise InputError(f"vit's dim must be a multiple of 4 (sines and cosines), got {dim}")
    model = VisionTransformer(
        img_size=image_size,
        patch_size=patch_size,
        in_chans=in_chans,
        num_classes=num_classes,
        embed_dim=dim,
        depth=depth,
        num_heads=heads,
        mlp_ratio=(mlp_dim + 0.5) / dim,  # timm cuts dim * mlp_ratio to a whole number
        pos_drop_rate=dropout,
        proj_drop_rate=dropout,
        class_token=pool == "cls",
        global_pool="token" if pool == "cls" else "avg",
    )
    _place(model, image_size // patch_size)
    return model


def _place(model: VisionTransformer, side: int) -> None:
    """Start the learnt positions as 2-D sines and cosines (as MoCo v3's, arXiv 2104.02057).

    timm's draw of 0.02 is a thirtieth of what a patch of a small image contributes: such a network
    is blind to places for its first epochs (digits: 30 % after six epochs, instead of 75 %).
    """
    grid = build_sincos2d_pos_embed(
        [side, side], dim=model.embed_dim, temperature=WAVELENGTH, interleave_sin_cos=False
    )
    with torch.no_grad():
        model.pos_embed.zero_()
        model.pos_embed[0, model.num_prefix_tokens :] = grid * (POSITION_STD / 0.5**0.5)


def vit_told(checkpoint: Checkpoint) -> dict[str, Told]:
    """The options that the weights of a `vit` tell: all but heads and dropout."""
    state, told = checkpoint.state, {}
    if shape := shape_of(state, "patch_embed.proj.weight", 4):
        because = f"patch_embed.proj.weight {shape}"
        told |= {"dim": Told(shape[0], because), "patch_size": Told(shape[-1], because)}
        told["in_chans"] = Told(shape[1], because)
    if shape := shape_of(state, "blocks.0.mlp.fc1.weight", 2):
        told["mlp_dim"] = Told(shape[0], f"blocks.0.mlp.fc1.weight {shape}")
    if shape_of(state, "pos_embed", 3):
        has_token = "cls_token" in state
        told["pool"] = Told("cls", "cls_token") if has_token else Told("mean", "no cls_token")
    return told | counted(state, r"blocks\.(\d+)\.")
