"""Attention read where it is computed: q, k and v, or the attention weights, of every head."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class AttentionSite:
    """One place where a model computes self-attention, or one that could not be read.

    name: path of the module that computes it, with `#2`, `#3`, ... from its second call on.
    heads, tokens, head_dim: of one call; tokens are those of a window where attention is windowed.
    per_image: calls of one image in the batch dimension: windows (1: none).
    source: "q, k" or "weights" (the softmax that the model hands on).
    reason: why it cannot be read, in one line, or "".
    """

    name: str
    heads: int
    tokens: int
    head_dim: int
    per_image: int
    source: str
    reason: str


@dataclass(frozen=True)
class Attention:
    """What one site gave in one forward of B images; W = per_image, images before windows.

    q, k, v: (B W, H, T, D), (B W, Hk, T, D), (B W, Hk, T, Dv), as the model computed them: views,
        valid inside the callback only; None where there are only weights.
    scale: what q.k is multiplied with.
    bias: broadcasts to (B W, H, T, T), floating (added) or boolean (True: takes part), or None.
    weights: (B W, H, T, T), where q and k are not to be had; else None.
    """

    q: Tensor | None
    k: Tensor | None
    v: Tensor | None
    scale: float
    bias: Tensor | None
    weights: Tensor | None


def attention_sites(model: nn.Module, images: Tensor) -> list[AttentionSite]:
    """Every place where the model computes attention, in the order in which they fire.

    Args:
        model: any module; left as it was found.
        images: (n, ...) as the model takes them; one is enough.

    Returns:
        Sites that can be read and, with a reason, attention-like modules that cannot.
    """
    raise NotImplementedError


Take = Callable[[AttentionSite, Attention], None]


@contextmanager
def capture_attention(model: nn.Module, sites: list[AttentionSite], take: Take) -> Iterator[None]:
    """Inside, every forward hands each of these sites' attention to `take`; nothing is stored."""
    raise NotImplementedError
    yield
