"""A small Vision Transformer for small images (Dosovitskiy et al. 2020, arXiv 2010.11929)."""

from timm.models.vision_transformer import VisionTransformer
from torch import nn

from vitprobe.models.source import check_patches

PATCH = 4


def vit(num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Patch 4, width 128, depth 6, 4 heads, MLP 512, class token: about 1.2 M parameters.

    image_size: pixels, a multiple of 4. Images (B, 3, image_size, image_size) -> (B, num_classes).
    Raises InputError for another image size.
    """
    check_patches("vit", (image_size, image_size), (PATCH, PATCH))
    return VisionTransformer(
        img_size=image_size,
        patch_size=PATCH,
        num_classes=num_classes,
        embed_dim=128,
        depth=6,
        num_heads=4,
        mlp_ratio=4,
    )
