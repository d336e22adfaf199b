"""A small model of a user's own, which computes attention as it is told to."""

import torch
from torch import nn

from vitprobe.taps import AttentionSite, attention_sites

X = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))  # (B, T, C)


class Attend(nn.Module):
    """A module of the user's: `compute(q, k, v)` of (B, H, T, D) or what `split` makes of them."""

    def __init__(self, compute, heads=2, kv_heads=None, split=True):
        super().__init__()
        self.num_heads = heads
        self.kv_heads = kv_heads or heads
        self.qkv = nn.Linear(8, 8 + 2 * (8 // heads) * self.kv_heads)
        self.proj = nn.Linear(8, 8)
        self.compute, self.split = compute, split

    def forward(self, x):
        width = (8 // self.num_heads) * self.kv_heads
        q, k, v = self.qkv(x).split([8, width, width], -1)
        if self.split:
            heads = (self.num_heads, self.kv_heads, self.kv_heads)
            q, k, v = (
                t.unflatten(-1, (h, -1)).transpose(1, 2)
                for t, h in zip((q, k, v), heads, strict=True)
            )
        y = self.compute(q, k, v)
        return self.proj(y.transpose(1, 2).flatten(2) if y.ndim == 4 else y)


class Net(nn.Module):
    def __init__(self, attend, calls=1):
        super().__init__()
        self.attend, self.calls = attend, calls

    def forward(self, x):
        for _ in range(self.calls):
            x = x + self.attend(x)
        return x


def made(compute, calls=1, **options):
    torch.manual_seed(0)
    return Net(Attend(compute, **options), calls)


def only(model, x=X) -> AttentionSite:
    """Its one site."""
    [site] = attention_sites(model, x[:1])
    return site
