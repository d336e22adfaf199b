"""Where the tokens of an attention lie in the image: grid, leading tokens, patch size in pixels.

Taken from what the caller gives, else from what the model states (patch sizes and windows, under
the names that timm, torchvision and transformers use), else from its patch convolution (kernel =
stride), else from patches that are square and tile the image. The number of tokens decides between
these, and between the stages of a hierarchy, each of which halves the grid.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from vitprobe.errors import InputError
from vitprobe.taps.tokens import special_tokens

_MOST_PREFIX = 8  # leading tokens that are believed of a model that states none
_WINDOWS = ("window_size", "ws", "window_resolution", "partition_size")

Size = int | float | tuple[float, float]


@dataclass(frozen=True)
class TokenGrid:
    """Tokens 0 .. prefix - 1 are no patches; then rows x columns patches, row by row.

    patch_height, patch_width: pixels between the centres of neighbouring patches.
    """

    rows: int
    columns: int
    prefix: int
    patch_height: float
    patch_width: float

    @property
    def tokens(self) -> int:
        return self.prefix + self.rows * self.columns

    def uniform(self) -> dict[str, float]:
        """What attention that is equal over all tokens gives: `distance` and `distance_raw` in
        pixels, `patch_mass`, `entropy` in nats."""
        total = sum(
            (self.rows - abs(y))
            * (self.columns - abs(x))
            * math.hypot(y * self.patch_height, x * self.patch_width)
            for y in range(1 - self.rows, self.rows)
            for x in range(1 - self.columns, self.columns)
        )
        patches = self.rows * self.columns
        mass = patches / self.tokens
        distance = total / patches**2
        return {
            "distance": distance,
            "distance_raw": distance * mass,
            "patch_mass": mass,
            "entropy": math.log(self.tokens),
        }


def token_grid(
    model: nn.Module,
    tokens: int,
    image_size: tuple[int, int],
    *,
    windows: int = 1,
    module: str = "",
    grid: tuple[int, int] | None = None,
    prefix: int | None = None,
    patch_size: Size | None = None,
) -> TokenGrid:
    """The grid of the tokens that one attention of a model sees.

    Args:
        tokens: how many it sees at once: of an image, or of one window.
        image_size: height and width of the model's input in pixels.
        windows: into how many windows the tokens of an image are split; the grid is that of one.
        module: path of the module that computes the attention, which may state its window.
        grid: rows and columns of patches of the image (in a hierarchy: of its first stage).
        prefix: leading tokens that are no patches (class, registers).
        patch_size: pixels, one number or height and width (in a hierarchy: of its first stage).

    Raises:
        InputError: they cannot be told, or what was given is not so many tokens.
    """
    _check(grid, prefix, patch_size)
    expected = _stated_prefix(model) if prefix is None else prefix
    patch = None if patch_size is None else _pair(patch_size)
    stages = list(_stages(model, image_size, grid, patch))
    if windows > 1:
        return _window(model, tokens, windows, module, image_size, stages, prefix or 0)
    believed = [expected] if prefix is not None else [expected, 0]
    for wanted in believed:
        for _, (rows, columns, height, width) in stages:
            if rows * columns + wanted == tokens:
                return TokenGrid(rows, columns, wanted, height, width)
    if grid is None and patch is None:
        for wanted in believed:
            if tiles := _tiles(tokens - wanted, image_size):
                return TokenGrid(tiles[0], tiles[1], wanted, tiles[2], tiles[2])
    for level, (rows, columns, height, width) in stages:
        more = tokens - rows * columns
        if prefix is None and not expected and level == 0 and 0 < more <= _MOST_PREFIX:
            return TokenGrid(rows, columns, more, height, width)
    raise InputError(_refusal(tokens, module, image_size, stages, grid, expected))


def _stages(model, image_size, grid, patch) -> Iterator[tuple[int, tuple]]:
    """(level, (rows, columns, patch height, patch width)): the grids that may be, likeliest first;
    level 0 is the first stage of a hierarchy, and every other level has half of the one before."""
    height, width = image_size
    sizes = [patch] if patch else list(dict.fromkeys(_stated_patches(model)))
    bases = [  # what is left at the edge is cut off, or padded to a patch
        (rounded(height / h), rounded(width / w), h, w)
        for h, w in sizes
        for rounded in (math.floor, math.ceil)
    ]
    if grid is not None and patch:
        bases = [(*grid, *patch)]
    elif grid is not None:
        own = [base for base in bases if base[:2] == tuple(grid)]
        if bases and not own:
            rows, columns, h, w = bases[0]
            raise InputError(
                f"a grid of {_by(grid)} patches is not the model's: its patches of {_by((h, w))} "
                f"px make {rows} x {columns} of {_by(image_size)} px; give patch_size as well, "
                "or leave grid out"
            )
        if not own and (height % grid[0] or width % grid[1]):
            raise InputError(
                f"a grid of {_by(grid)} patches does not divide {_by(image_size)} px: "
                "give patch_size as well"
            )
        bases = own[:1] or [(*grid, height / grid[0], width / grid[1])]
    for rows, columns, h, w in dict.fromkeys(bases):
        level = 0
        while min(rows, columns) > 0:
            yield level, (rows, columns, float(h), float(w))
            if min(rows, columns) == 1:
                break
            level, rows, columns, h, w = level + 1, -(-rows // 2), -(-columns // 2), 2 * h, 2 * w


def _stated_patches(model: nn.Module) -> Iterator[tuple[float, float]]:
    for module in model.modules():
        size, grid = _pair(getattr(module, "img_size", None)), getattr(module, "grid_size", None)
        grid = _pair(grid)
        if size and grid and not (size[0] % grid[0] or size[1] % grid[1]):
            yield size[0] / grid[0], size[1] / grid[1]  # a convolutional stem before the patches
        for holder in (module, getattr(module, "config", None)):
            if (patch := _pair(getattr(holder, "patch_size", None))) and min(patch) > 1:
                yield patch
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == module.stride != (1, 1):
            yield float(module.stride[0]), float(module.stride[1])
            return


def _stated_prefix(model: nn.Module) -> int:
    """Leading tokens that are no patches, as timm states them, else as parameters hold them."""
    stated = (getattr(module, "num_prefix_tokens", None) for module in model.modules())
    number = next((number for number in stated if isinstance(number, int)), None)
    return sum(special_tokens(model).values()) if number is None else number


def _tiles(patches: int, image_size: tuple[int, int]) -> tuple[int, int, float] | None:
    """(rows, columns, side) where so many square patches of whole pixels fill the image."""
    height, width = image_size
    if patches < 1:
        return None
    side = math.isqrt(height * width // patches)
    if side and not (height % side or width % side) and height * width == patches * side * side:
        return height // side, width // side, float(side)
    return None


def _window(model, tokens, windows, module, image_size, stages, prefix) -> TokenGrid:
    where = module or "this attention"
    size = _stated_window(model, module, tokens - prefix)
    if size is None:
        raise InputError(
            f"{where} attends within {windows} parts of an image, and where the {tokens} tokens of "
            "one lie cannot be told"
        )
    rows, columns = size
    patches = {
        (height, width)
        for _, (r, c, height, width) in stages
        if -(-r // rows) * -(-c // columns) == windows
    }
    whole = {  # where a stage fits without padding, one that would need some is not meant
        (height, width) for _, (r, c, height, width) in stages if r * c == windows * rows * columns
    }
    patches = (patches & whole) or patches
    if not stages and (tiles := _tiles(windows * rows * columns, image_size)):
        patches = {(tiles[2], tiles[2])}
    if len(patches) != 1:
        raise InputError(
            f"{where} attends within {windows} windows of {rows} x {columns}, which "
            f"{'several grids' if patches else 'no grid'} of the model can have: give grid "
            "and patch_size (of the first stage)"
        )
    return TokenGrid(rows, columns, prefix, *patches.pop())


def _stated_window(model: nn.Module, module: str, tokens: int) -> tuple[int, int] | None:
    """The window that the module, or the nearest one around it, states; None: of another size."""
    path = module.partition("#")[0]
    while True:
        try:
            holder = model.get_submodule(path)
        except AttributeError:
            holder = None
        if getattr(holder, "partition_block", True) is False:
            return None  # grid attention (MaxViT): its tokens are spread over the image
        for name in _WINDOWS:
            size = _pair(getattr(holder, name, None))
            if size and size[0] * size[1] == tokens:
                return int(size[0]), int(size[1])
        if not path:
            return None
        path = path.rpartition(".")[0]


def _refusal(tokens, module, image_size, stages, grid, expected) -> str:
    where = f"the {tokens} tokens of {module or 'the model'}"
    options = (
        "grid (rows and columns of patches), prefix (leading tokens that are no patches) and "
        "patch_size (pixels)"
    )
    if not stages:
        return f"cannot tell how {where} lie in {_by(image_size)} px: give {options}"
    rows, columns = stages[0][1][:2]
    if grid is not None:
        return (
            f"a grid of {rows} x {columns} patches behind {expected} other tokens is not {where}: "
            f"give another grid or prefix, or neither"
        )
    return (
        f"{where} are not the {rows} x {columns} patches of {_by(image_size)} px behind "
        f"{expected} other tokens that the model states: give {options}"
    )


def _check(grid, prefix, patch_size) -> None:
    whole = grid is None or (
        isinstance(grid, Sequence) and len(grid) == 2 and all(isinstance(n, int) for n in grid)
    )
    if not whole or (grid is not None and min(grid) < 1):
        raise InputError(f"grid must be rows and columns, two positive whole numbers, not {grid}")
    if prefix is not None and prefix < 0:
        raise InputError(f"prefix must not be negative: {prefix}")
    if patch_size is not None and (_pair(patch_size) is None or min(_pair(patch_size)) <= 0):
        raise InputError(f"patch_size must be one or two positive numbers, not {patch_size}")


def _pair(size) -> tuple[float, float] | None:
    """One positive number or two -> two; None for anything else."""
    if isinstance(size, (int, float)) and not isinstance(size, bool):
        size = (size, size)
    if not isinstance(size, Sequence) or isinstance(size, str) or len(size) != 2:
        return None
    return tuple(size) if all(isinstance(n, (int, float)) and n > 0 for n in size) else None


def _by(size) -> str:
    return " x ".join(f"{side:g}" for side in size)
