"""Grids of patches that a model may have, from what it states and how it begins.

Patch sizes are read under the names that timm, torchvision and transformers use; else the model's
first convolution with a stride counts, which is the patch embedding or begins a stem. In a
hierarchy each stage halves the grid of the one before.
"""

import math
from collections.abc import Iterator, Sequence

from torch import nn

from vitprobe.errors import InputError
from vitprobe.taps.tokens import special_tokens

Stage = tuple[int, int, float, float]  # rows, columns, patch height and width in pixels


def stages(model, image_size, grid, patch) -> Iterator[tuple[int, Stage]]:
    """The grids that may be, likeliest first, with their levels: 0 is the first stage of a
    hierarchy, and every other level has half of the one before."""
    if grid is None:
        bases = _of_patches(patch, image_size) if patch else _stated(model, image_size)
    else:
        bases = [_given(model, image_size, grid, patch)]
    for base in dict.fromkeys(bases):
        yield from enumerate(_halvings(base))


def _halvings(stage: Stage) -> Iterator[Stage]:
    rows, columns, height, width = stage
    while min(rows, columns) > 0:
        yield rows, columns, float(height), float(width)
        if min(rows, columns) == 1:
            return
        rows, columns, height, width = -(-rows // 2), -(-columns // 2), 2 * height, 2 * width


def _given(model, image_size, grid, patch) -> Stage:
    """The grid that the caller gives, with the patch size that goes with it."""
    if patch:
        return (*grid, *patch)
    bases = list(_stated(model, image_size))
    own = [stage for base in bases for stage in _halvings(base) if stage[:2] == tuple(grid)]
    if own:
        return own[0]
    if bases:
        rows, columns, *size = bases[0]
        raise InputError(
            f"a grid of {by(grid)} patches is not the model's: its patches of {by(size)} px make "
            f"{rows} x {columns} of {by(image_size)} px; give patch_size as well, or leave grid out"
        )
    height, width = image_size
    if height % grid[0] or width % grid[1]:
        raise InputError(
            f"a grid of {by(grid)} patches does not divide {by(image_size)} px: "
            "give patch_size as well"
        )
    return (*grid, height / grid[0], width / grid[1])


def _stated(model: nn.Module, image_size: tuple[int, int]) -> Iterator[Stage]:
    """First stages, by what the model states, then by its first convolution with a stride."""
    for module in model.modules():
        size, grid = pair(getattr(module, "img_size", None)), getattr(module, "grid_size", None)
        grid = pair(grid)
        if size and grid and not (size[0] % grid[0] or size[1] % grid[1]):
            # As seen from the image: with a stem before it, a patch embedding's own may be 1 x 1.
            yield from _of_patches((size[0] / grid[0], size[1] / grid[1]), image_size)
        for holder in (module, getattr(module, "config", None)):
            if (patch := pair(getattr(holder, "patch_size", None))) and min(patch) > 1:
                yield from _of_patches(patch, image_size)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and min(module.stride) > 1:
            if not isinstance(module.padding, str):
                counts = (
                    (side + 2 * padding - kernel) // step + 1
                    for side, padding, kernel, step in zip(
                        image_size, module.padding, module.kernel_size, module.stride, strict=True
                    )
                )
                yield (*counts, *module.stride)
            return


def _of_patches(patch, image_size) -> Iterator[Stage]:
    """Patches side by side; what is left at the edge is cut off, or padded to a patch."""
    for rounded in (math.floor, math.ceil):
        yield (
            *(rounded(side / part) for side, part in zip(image_size, patch, strict=True)),
            *patch,
        )


def stated_prefix(model: nn.Module) -> int:
    """Leading tokens that are no patches, as timm states them, else as parameters hold them."""
    stated = (getattr(module, "num_prefix_tokens", None) for module in model.modules())
    number = next((number for number in stated if isinstance(number, int)), None)
    return sum(special_tokens(model).values()) if number is None else number


def tiles(patches: int, image_size: tuple[int, int]) -> tuple[int, int, float] | None:
    """(rows, columns, side) where so many square patches of whole pixels fill the image."""
    height, width = image_size
    if patches < 1:
        return None
    side = math.isqrt(height * width // patches)
    if side and not (height % side or width % side) and height * width == patches * side * side:
        return height // side, width // side, float(side)
    return None


def pair(size) -> tuple[float, float] | None:
    """One positive number or two -> two; None for anything else."""
    if isinstance(size, (int, float)) and not isinstance(size, bool):
        size = (size, size)
    if not isinstance(size, Sequence) or isinstance(size, str) or len(size) != 2:
        return None
    return tuple(size) if all(isinstance(n, (int, float)) and n > 0 for n in size) else None


def by(size) -> str:
    """`14 x 14` from (14, 14)."""
    return " x ".join(f"{side:g}" for side in size)
