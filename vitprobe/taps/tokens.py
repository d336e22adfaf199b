"""Where the tokens are in an activation, and the views that select some of them.

Read from facts of the survey, not from class names: the grids are the heights and widths that the
model's convolutions gave (the patch embedding of a ViT is one), or their halvings (Swin merges
patches without a convolution); the special tokens (class, registers, distillation) are the
parameters that hold them. A per-example shape is then a sequence (T, D), heads (H, T, d) or a map,
(C, H, W) or (H, W, C). Special tokens come first, the class token first of all.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from vitprobe.errors import InputError, did_you_mean, option

TOKENS = ("all", "cls", "patches", "mean")

_SPECIAL = re.compile(
    r"(cls|class|reg|register|dist|distillation|storage)(_?(tokens?|embedding|embed|emb))?"
)


@dataclass(frozen=True)
class TokenView:
    """Tokens of a per-example shape: along one axis (a sequence) or two (a map)."""

    axes: tuple[int, ...]
    prefix: int = 0  # leading tokens that are no patches
    has_class: bool = False  # token 0 is the class token


def special_tokens(model: nn.Module) -> dict[str, int]:
    """How many tokens each parameter named like a class, register or distillation token holds."""
    return {
        name.rpartition(".")[2]: max(1, p.numel() // max(1, p.shape[-1] if p.ndim else 1))
        for name, p in model.named_parameters()
        if _SPECIAL.fullmatch(name.rpartition(".")[2])
    }


def has_class_token(model: nn.Module) -> bool:
    """Whether a parameter of the model is named like a class token, which is then token 0."""
    return any(name.startswith("cl") for name in special_tokens(model))


class TokenReader:
    """What the survey of one model says about tokens; `read` depends on a site's shape alone, so
    that sites which share a tensor share its tokens."""

    def __init__(
        self,
        model: nn.Module,
        shapes: Iterable[tuple[int, ...]],  # per-example shapes of all sites
        maps: Iterable[tuple[int, ...]],  # those that are certainly (C, H, W): of convolutions
    ):
        special = special_tokens(model)
        self.prefix = sum(special.values())
        self.has_class = has_class_token(model)
        shapes = list(shapes)
        self.grids = {shape[1:] for shape in maps if len(shape) == 3} - {(1, 1)}
        self.counts = {h * w for h, w in self.grids}
        if not self.grids:  # patches embedded without a convolution: most sequences have its length
            lengths = Counter(shape[0] for shape in shapes if len(shape) == 2)
            self.counts = {length - self.prefix for length, _ in lengths.most_common(1)} - {0, 1}
        self.halved_grids = {half for grid in self.grids for half in _halvings(grid)}
        self.halved_counts = {h * w for h, w in self.halved_grids} - {1}
        self._unambiguous: dict[int, set[TokenView]] = {}
        for shape in shapes:
            views = self._candidates(shape)
            if len(views) == 1:
                self._unambiguous.setdefault(len(shape), set()).update(views)

    def read(self, shape: tuple[int, ...], folded: bool) -> TokenView | str:
        """The tokens of a site, or the reason why they cannot be told."""
        if len(shape) < 2:
            return "it has no token axis (a pooled vector)"
        if folded:
            return "its examples are split into windows or heads"
        views = self._candidates(shape)
        if len(views) > 1:  # such as 64 channels of 64 x 64: as this model's other sites have them
            known = {view.axes for view in self._unambiguous.get(len(shape), ())}
            views = [view for view in views if {view.axes} == known]
            if len(views) != 1:
                return "two of its axes could be the tokens"
        return views[0] if views else "no axis of it has the size of the token grid"

    def _candidates(self, shape: tuple[int, ...]) -> list[TokenView]:
        if len(shape) == 3:
            maps = [(1, 2)] if shape[1:] in self.grids | {(1, 1)} else []
            if shape[:2] in self.grids | self.halved_grids | {(1, 1)}:
                maps.append((0, 1))
            if maps:
                return [TokenView(axes) for axes in maps]
        # Heads, (H, T, d), are looked for where the grid is one: many sizes meet by accident.
        if not (len(shape) == 2 or (len(shape) == 3 and len(self.grids) <= 1)):
            return []
        with_special = {count + self.prefix for count in self.counts} if self.prefix else set()
        merged = self.halved_counts if len(shape) == 2 else set()
        for sizes in (with_special, self.counts, merged):
            axes = [axis for axis, size in enumerate(shape) if size in sizes]
            if axes and sizes is with_special:
                return [TokenView((axis,), self.prefix, self.has_class) for axis in axes]
            if axes:
                return [TokenView((axis,)) for axis in axes]
        return []


def _halvings(grid: tuple[int, int]) -> Iterable[tuple[int, int]]:
    height, width = grid
    while height > 1 and width > 1:
        height, width = (height + 1) // 2, (width + 1) // 2
        yield height, width


def check_tokens(tokens: str) -> None:
    """Raises InputError unless `tokens` is one of TOKENS."""
    if tokens not in TOKENS:
        raise InputError(
            f"unknown tokens {tokens!r}: choose one of {', '.join(TOKENS)}"
            f"{did_you_mean(str(tokens), TOKENS)}"
        )


def why_no_tokens(shape: tuple[int, ...], where: TokenView | str, tokens: str) -> str | None:
    """The reason why a site of this per-example shape has no such tokens, or None if it has."""
    if tokens == "all" or (tokens == "mean" and len(shape) < 2):
        return None
    if isinstance(where, str):
        return f"no {option('tokens', tokens)}: {where}"
    if tokens == "cls" and not where.has_class:
        return f"no {option('tokens', tokens)}: it has no class token"
    return None


def select_tokens(x: torch.Tensor, where: TokenView | str, tokens: str) -> torch.Tensor:
    """x (n, ...) with the examples first -> its tokens.

    all: x; cls: the class token, (n, D); patches: without the special tokens, (n, T, D) or the
    whole map; mean: over the patches, (n, D), in float32 at least; a pooled vector is its own mean.
    All are views but the mean.
    """
    if tokens == "all" or isinstance(where, str):
        return x
    axes = [axis + 1 for axis in where.axes]
    if tokens == "cls":
        return x.select(axes[0], 0)
    if where.prefix:
        x = x.narrow(axes[0], where.prefix, x.shape[axes[0]] - where.prefix)
    if tokens == "mean":
        return x.mean(axes, dtype=torch.promote_types(x.dtype, torch.float32))
    return x
