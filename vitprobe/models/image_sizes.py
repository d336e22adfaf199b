"""The image sizes that weights were made for: told by the positional embedding of a ViT."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from timm.layers import resample_abs_pos_embed
from torch import Size, Tensor

from vitprobe.errors import InputError

Frame = tuple[int, int]  # height and width, in pixels or in patches

POSITIONS = ("pos_embed", "pos_embedding", "position_embeddings")
PATCHES = re.compile(r"(.*\.)?(patch_embed(ding)?s?\.(proj|projection)|conv_proj)\.weight")
MOST_PREFIX = 64  # class, distillation and register tokens
LARGEST = 2048  # pixels of a side that a file may ask for; more must be asked for by the user
MOST_OBLONG = 4  # sides of a grid of patches; a longer one is no grid but a misreading


@dataclass(frozen=True)
class ImageSizes:
    """The images that a checkpoint's weights were made for.

    usual: (height, width) in pixels, to take when nobody asks for one.
    because: the key that says so, with its shape.
    low, high: the smallest and largest side, where the weights take several; 0: `usual` alone.
    key, grid, prefix: the positional embedding (1, prefix + rows x columns, D), if that says so.
    guess: a line where rows and columns had to be guessed, or "".
    """

    usual: Frame
    because: str
    low: int = 0
    high: float = 0
    key: str = ""
    grid: Frame = (0, 0)
    prefix: int = 0
    guess: str = ""

    def fit(self, size: Frame) -> bool:
        """Whether the weights take images of this size."""
        if self.low:
            return self.low <= min(size) and max(size) <= self.high
        return size == self.usual

    @property
    def span(self) -> str:
        """`32`, `65 or more`, `at most 64`, `224 x 112`."""
        if not self.low:
            return sides(self.usual)
        return f"{self.low} or more" if self.low > 1 else f"at most {self.high}"


def sides(size: Frame) -> str:
    """`224`, or `224 x 112` where the sides differ."""
    return str(size[0]) if size[0] == size[1] else f"{size[0]} x {size[1]}"


def whole_patches(size: Frame, patch: int | Frame | None) -> Frame:
    """The size (pixels) cut to a whole number of patches, at least one; None: no patches."""
    if patch is None:
        return size
    steps = (patch, patch) if isinstance(patch, int) else patch
    return tuple(max(side // step, 1) * step for side, step in zip(size, steps, strict=True))


def sizes_of_positions(
    state: Mapping[str, Tensor],
    shapes: Mapping[str, Size],
    size: Frame | None,
    asked: Frame | None,
) -> ImageSizes | None:
    """What a learnt positional embedding (1, tokens, D) tells of the images: a place for each
    patch, so its grid grows with the image. Other tokens come before the patches and don't grow.

    state: the checkpoint's weights; shapes: the model's, built for images of `size` (pixels).
    asked: settles which rows and columns a number of patches is, where it is no square.
    """
    for key, shape in shapes.items():
        held = state.get(key)
        if not key.endswith(POSITIONS) or held is None or size is None:
            continue
        if len(shape) != 3 or held.ndim != 3 or not shape[1]:
            continue
        rows, columns, prefix = _own_grid(shape[1], shapes, size)
        if not rows or size[0] % rows or size[1] % columns:
            continue
        patch = size[0] // rows, size[1] // columns
        count = held.shape[1] - prefix
        grid, guess = _grid(count, patch, asked)
        if grid is None:
            continue
        usual = grid[0] * patch[0], grid[1] * patch[1]
        because = f"{key} {tuple(held.shape)}"
        return ImageSizes(usual, because, key=key, grid=grid, prefix=prefix, guess=guess)
    return None


def resampled(
    state: Mapping[str, Tensor], sizes: ImageSizes, size: Frame, name: str
) -> dict[str, Tensor]:
    """The weights with the positional embedding of another image size, by timm's interpolation.

    size: pixels. Raises InputError where no whole number of patches fills it.
    """
    patch = [side // count for side, count in zip(sizes.usual, sizes.grid, strict=True)]
    if any(side % step for side, step in zip(size, patch, strict=True)):
        raise InputError(
            f"{name} cuts the image into patches of {patch[0]} px, which don't fill "
            f"{size[0]} x {size[1]} px: choose a multiple"
        )
    new = [side // step for side, step in zip(size, patch, strict=True)]
    with torch.no_grad():
        positions = resample_abs_pos_embed(
            state[sizes.key], new, list(sizes.grid), num_prefix_tokens=sizes.prefix
        )
    return {**state, sizes.key: positions}


def _own_grid(tokens: int, shapes: Mapping[str, Size], size: Frame) -> tuple[int, int, int]:
    """Rows, columns and tokens before them of a model built for images of `size`."""
    kernel = next((s[2:] for k, s in shapes.items() if PATCHES.fullmatch(k) and len(s) == 4), None)
    if kernel is not None:
        rows, columns = size[0] // kernel[0], size[1] // kernel[1]
        if 0 <= tokens - rows * columns <= MOST_PREFIX:
            return rows, columns, tokens - rows * columns
    side = math.isqrt(tokens) if size[0] == size[1] else 0  # patches overlap, or are no convolution
    return side, side, tokens - side**2


def _grid(count: int, patch: Frame, asked: Frame | None) -> tuple[Frame | None, str]:
    """Rows and columns of so many patches, and how they were guessed."""
    if count < 1:
        return None, ""
    if asked is not None:
        rows, columns = asked[0] // patch[0], asked[1] // patch[1]
        whole = (rows * patch[0], columns * patch[1]) == tuple(asked)
        if whole and rows * columns == count:
            return (rows, columns), ""
    side = math.isqrt(count)
    if side**2 == count:
        return (side, side), ""
    rows = next(rows for rows in range(side, 0, -1) if count % rows == 0)
    columns = count // rows
    if columns > MOST_OBLONG * rows:
        return None, ""
    return (rows, columns), (
        f"its {count} patches are read as {rows} rows of {columns}: "
        f"img_size=({columns * patch[0]},{rows * patch[1]}) says that they stand the other way"
    )
