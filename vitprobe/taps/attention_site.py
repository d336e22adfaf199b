"""What a tap of attention hands over: the places, and what each of them computes."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class AttentionSite:
    """One place where a model computes self-attention, or one that could not be read.

    name: path of the module that computes it, with `#2`, `#3`, ... from its second call on.
    heads, tokens, head_dim: of one call; tokens are those of a window where attention is windowed.
    per_image: calls of one image in the batch dimension: windows (1: none).
    source: "q, k" or "weights" (the softmax that the model hands on); "" where there is neither.
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


@dataclass(frozen=True)
class Found:
    """One computation of attention as it is seen: readable, or `attention` is None for a reason."""

    attention: Attention | None
    heads: int = 0
    tokens: int = 0
    head_dim: int = 0
    reason: str = ""
    input_shape: tuple[int, ...] = field(default=(), compare=False)  # of the module, or ()

    @property
    def leading(self) -> Tensor:
        """q or the weights: (B W, H, T, ...)."""
        attention = self.attention
        return attention.weights if attention.q is None else attention.q

    @property
    def source(self) -> str:
        """As in AttentionSite."""
        if self.attention is None:
            return ""
        return "weights" if self.attention.q is None else "q, k"
