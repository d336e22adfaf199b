"""A ViT made for small data sets (Lee et al. 2021, arXiv 2112.13492), as vit-pytorch has it.

Its patches are cut from the image together with four shifted copies of it, and its attention is
local: no token attends to itself, and the softmax's temperature is learnt.
"""

from __future__ import annotations

import math

from torch import nn

from vitprobe.models import stored
from vitprobe.models.architecture import Told, check_heads
from vitprobe.models.checkpoints import Checkpoint
from vitprobe.models.shapes import counted, shape_of
from vitprobe.models.source import check_patches
from vitprobe.packages import package

NAME = "vit-small-data"
IMAGES = 5  # the image and its four shifted copies


def vit_small_data(
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
) -> nn.Module:
    """vit_pytorch.vit_for_small_dataset.ViT with heads of dim / heads dimensions.

    image_size: pixels, a multiple of patch_size.
    dropout: after the embedding, of the attention, after its projection and in the MLPs.
    pool: "cls" reads the class token; "mean" averages all tokens, the class token among them.
    Images (B, 3, image_size, image_size) -> (B, num_classes).
    Raises InputError for another image size, heads that do not divide dim, and where vit-pytorch is
    missing.
    """
    check_patches(NAME, (image_size, image_size), (patch_size, patch_size))
    check_heads(NAME, dim, heads)
    module = package("vit_pytorch.vit_for_small_dataset", NAME, "vit-pytorch")
    return module.ViT(
        image_size=image_size,
        patch_size=patch_size,
        num_classes=num_classes,
        dim=dim,
        depth=depth,
        heads=heads,
        dim_head=dim // heads,
        mlp_dim=mlp_dim,
        pool=pool,
        dropout=dropout,
        emb_dropout=dropout,
    )


def vit_small_data_told(checkpoint: Checkpoint) -> dict[str, Told]:
    """The options that its weights tell: all but heads and dropout; pooling is read from
    `architecture` beside them."""
    state, told = checkpoint.state, {}
    key = "to_patch_embedding.to_patch_tokens.2.weight"
    if shape := shape_of(state, key, 2):
        told["dim"] = Told(shape[0], f"{key} {shape}")
        told["patch_size"] = Told(math.isqrt(shape[1] // (3 * IMAGES)), f"{key} {shape}")
    key = "transformer.layers.0.1.net.1.weight"
    if shape := shape_of(state, key, 2):
        told["mlp_dim"] = Told(shape[0], f"{key} {shape}")
    told |= counted(state, r"transformer\.layers\.(\d+)\.")
    return told | stored.options(checkpoint.metadata, "pool")
