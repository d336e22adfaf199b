"""From one image's attention to maps over the patches: the class token's row, and the rollout."""

import torch
from torch import Tensor

from vitprobe.ops.reference_attention import attention_weights
from vitprobe.ops.wide import wide
from vitprobe.taps.attention import Attention


def head_weights(attention: Attention, head: int) -> Tensor:
    """What every token of the first image pays to every other: (T, T) float64, rows sum to 1.

    One head at a time: the weights of all heads of a large image would fill the memory.
    """
    if attention.weights is not None:
        return wide(attention.weights[0, head])
    q = wide(attention.q[:1, head : head + 1])
    shared = attention.q.shape[1] // attention.k.shape[1]
    k = wide(attention.k[:1, head // shared])[:, None]
    bias = attention.bias
    if bias is not None:
        bias = bias.expand(*attention.q.shape[:3], q.shape[2])[:1, head : head + 1].to(q.device)
        if bias.dtype == torch.bool:
            open_ = torch.zeros(bias.shape, dtype=q.dtype, device=q.device)
            bias = open_.masked_fill(~bias, -torch.inf)
    return attention_weights(q, k, attention.scale, bias)[0, 0]


def query_row(weights: Tensor, class_token: bool) -> Tensor:
    """(T, T) -> (T,): row 0, the class token's, or the mean of all rows."""
    return weights[0] if class_token else weights.mean(0)


class Rollout:
    """How much of each input token is in each token after some layers (Abnar & Zuidema 2020,
    arXiv 2005.00928): the running product of the heads' mean attention + I, each row divided by
    its sum. I stands for the skip connection."""

    def __init__(self):
        self.product: Tensor | None = None  # (T, T) float64

    def add(self, mean: Tensor) -> Tensor:
        """Add a layer, given its heads' mean attention (T, T); returns the product so far."""
        step = mean + torch.eye(len(mean), dtype=mean.dtype, device=mean.device)
        step = step / step.sum(-1, keepdim=True)
        self.product = step if self.product is None else step @ self.product
        return self.product
