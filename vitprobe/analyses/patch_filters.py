"""What a ViT knows of images before its first block: position embeddings and patch filters."""

import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from vitprobe.ops.wide import wide

COMPONENTS = 28  # as in Dosovitskiy et al. 2021, figure 7

_POSITION = re.compile(r"(?:absolute_)?pos(?:ition(?:al)?)?_?(?:embed(?:ding)?s?|emb)")


def position_similarity(model: nn.Module, patches: int, prefix: int) -> Tensor | str:
    """Cosine of each patch's position embedding with every other's: (N, N) float64.

    The embedding is a parameter called `pos_embed`, `position_embeddings` or the like, with one row
    for each of the N patches, or for each of the prefix + N tokens.

    Returns:
        The similarities, or the reason why the model has none; a row of zeros gives NaN.
    """
    shapes = []
    for name, table in _named_tables(model):
        if table.ndim == 3 and table.shape[0] == 1:
            table = table[0]
        if table.ndim == 2 and table.shape[0] in (patches, prefix + patches):
            rows = wide(table.detach()[-patches:])
            rows = rows / rows.norm(dim=1, keepdim=True)
            return rows @ rows.T
        shapes.append(f"{name} is {'x'.join(map(str, table.shape))}")
    found = f" ({', '.join(shapes)})" if shapes else ""
    return f"no position embedding that is added to {patches} patches{found}"


def patch_filters(model: nn.Module, channels: int) -> Tensor | str:
    """The filters that make the patches: (D, C, height, width) float64.

    They are those of the first convolution over the image's channels whose kernel is its stride.

    Returns:
        The filters, or the reason why the model has none.
    """
    for module in model.modules():
        if (
            isinstance(module, nn.Conv2d)
            and module.kernel_size == module.stride != (1, 1)
            and (module.in_channels, module.groups) == (channels, 1)
        ):
            return wide(module.weight.detach())
    return "no patch convolution over the image (one whose kernel is its stride)"


def filter_components(filters: Tensor) -> tuple[Tensor, Tensor]:
    """Principal components of filters (D, C, height, width), largest first.

    Returns:
        (K, C, height, width), each of norm 1, its largest value positive (a component's sign means
        nothing); and (K,), the part of the filters' variance along each. K is at most COMPONENTS.
    """
    points = filters.flatten(1)
    _, sizes, axes = torch.linalg.svd(points - points.mean(0), full_matrices=False)
    variance = sizes.square()
    axes, share = axes[:COMPONENTS], (variance / variance.sum())[:COMPONENTS]
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    return (axes * largest.sign()).unflatten(1, filters.shape[1:]), share


def _named_tables(model: nn.Module) -> Iterable[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        words = name.removesuffix(".weight").rpartition(".")[2]
        if _POSITION.fullmatch(words):
            yield name, parameter
