"""The small ViT of a study of what ViTs learn on small data (Zhu et al. 2023, arXiv 2302.03751).

Pre-norm, with attention wider than the tokens (8 heads of 64 for 64 dimensions) and no norm at the
end but in the head. The names of the weights are those of its published checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitprobe.models.source import check_patches
from vitprobe.packages import package

NAME = "vit-zhu2023"
HEAD_DIM = 64


class ViTZhu2023(nn.Module):
    """Images (B, 3, image_size, image_size) -> logits (B, num_classes).

    With the defaults and 10 classes 1,199,306 parameters.

    image_size: pixels, a multiple of patch_size.
    heads: of 64 dimensions each, whatever `dim` is.
    dropout: after the embedding, after each attention's projection and in the MLPs.
    pool: "cls" reads the class token; "mean" has none and averages the patches.
    patch_norms: a LayerNorm before and one after the patches' projection, as vit-pytorch has now.
    project_out: False leaves out the attention's projection: one head as wide as the tokens.

    Raises InputError for an image that patches do not fill, and where einops is missing.
    """

    def __init__(
        self,
        num_classes: int = 10,
        image_size: int = 32,
        *,
        patch_size: int = 8,
        dim: int = 64,
        heads: int = 8,
        depth: int = 6,
        mlp_dim: int = 512,
        dropout: float = 0.0,
        pool: str = "cls",
        patch_norms: bool = False,
        project_out: bool = True,
    ):
        super().__init__()
        check_patches(NAME, (image_size, image_size), (patch_size, patch_size))
        self.num_classes, self.patch_size = num_classes, patch_size
        self.to_patch_embedding = patch_embedding(patch_size, dim, patch_norms)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim)) if pool == "cls" else None
        tokens = (image_size // patch_size) ** 2 + (pool == "cls")
        self.pos_embedding = nn.Parameter(torch.randn(1, tokens, dim))
        self.dropout = nn.Dropout(dropout)
        self.transformer = Transformer(dim, depth, heads, mlp_dim, dropout, project_out)
        self.mlp_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        x = self.to_patch_embedding(images)  # (B, n, D)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)  # (B, 1 + n, D)
        x = self.dropout(x + self.pos_embedding)
        x = self.transformer(x)
        pooled = x.mean(dim=1) if self.cls_token is None else x[:, 0]  # (B, D)
        return self.mlp_head(pooled)  # (B, num_classes)


def patch_embedding(patch_size: int, dim: int, norms: bool) -> nn.Sequential:
    """(B, 3, H, W) -> (B, n, dim): each patch, its pixels in a row, projected by one matrix."""
    pixels = 3 * patch_size**2
    cut = package("einops.layers.torch", NAME, "einops").Rearrange(
        "b c (h p1) (w p2) -> b (h w) (p1 p2 c)", p1=patch_size, p2=patch_size
    )  # (B, n, pixels)
    if norms:
        return nn.Sequential(cut, nn.LayerNorm(pixels), nn.Linear(pixels, dim), nn.LayerNorm(dim))
    return nn.Sequential(cut, nn.Linear(pixels, dim))


class Transformer(nn.Module):
    """`depth` layers, (B, T, D) -> (B, T, D)."""

    def __init__(
        self, dim: int, depth: int, heads: int, mlp_dim: int, dropout: float, project_out: bool
    ):
        super().__init__()
        self.layers = nn.Sequential(
            *(Layer(dim, heads, mlp_dim, dropout, project_out) for _ in range(depth))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Layer(nn.Module):
    """Attention, then an MLP, each normed before and added to what came in; (B, T, D) both."""

    def __init__(self, dim: int, heads: int, mlp_dim: int, dropout: float, project_out: bool):
        super().__init__()
        attention = Attention(dim, heads, dropout, project_out)
        # Named by number, as in the checkpoints; a module of its own, so that a layer is one site.
        self.add_module("0", Residual(PreNorm(dim, attention)))
        self.add_module("1", Residual(PreNorm(dim, FeedForward(dim, mlp_dim, dropout))))

    def forward(self, x: Tensor) -> Tensor:
        for branch in self.children():
            x = branch(x)
        return x


class Residual(nn.Module):
    """x + fn(x)."""

    def __init__(self, fn: nn.Module):
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fn(x)


class PreNorm(nn.Module):
    """fn(norm(x))."""

    def __init__(self, dim: int, fn: nn.Module):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(x))


class Attention(nn.Module):
    """Self-attention of `heads` heads of 64 dimensions; (B, T, D) -> (B, T, D)."""

    def __init__(self, dim: int, heads: int, dropout: float, project_out: bool):
        super().__init__()
        self.heads = heads
        inner = heads * HEAD_DIM if project_out else dim
        self.to_qkv = nn.Linear(dim, 3 * inner, bias=False)
        self.to_out = nn.Identity()
        if project_out:
            self.to_out = nn.Sequential(nn.Linear(inner, dim), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.to_qkv(x).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, H, d)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, T, d)
        x = F.scaled_dot_product_attention(q, k, v)  # (B, H, T, d)
        return self.to_out(x.transpose(1, 2).flatten(2))  # heads side by side: (B, T, H d) -> D


class FeedForward(nn.Module):
    """The MLP, (B, T, D) -> (B, T, D)."""

    def __init__(self, dim: int, mlp_dim: int, dropout: float):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, mlp_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp_dim, dim),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)
