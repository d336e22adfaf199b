"""Where the tokens of an attention lie in the image: grid, leading tokens, patch size in pixels.

Taken from what the caller gives, else from what the model states or its convolutions say
(`stated_grids`), else from patches that are square and tile the image. The number of tokens decides
between these, and between the stages of a hierarchy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from vitprobe.errors import InputError
from vitprobe.taps.stated_grids import by, pair, stages, stated_prefix, tiles

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
    if any(type(part).__name__ == "Unroll" for part in model.modules()):  # Hiera
        raise InputError("the model unrolls its tokens: they are not in the order of the image")
    expected = stated_prefix(model) if prefix is None else prefix
    patch = None if patch_size is None else pair(patch_size)
    known = list(stages(model, image_size, grid, patch))
    if windows > 1:
        return _window(model, tokens, windows, module, image_size, known, prefix or 0)
    believed = [expected] if prefix is not None else [expected, 0]
    for wanted in believed:
        for _, (rows, columns, height, width) in known:
            if rows * columns + wanted == tokens:
                return TokenGrid(rows, columns, wanted, height, width)
    if grid is None and patch is None:
        for wanted in believed:
            if square := tiles(tokens - wanted, image_size):
                return TokenGrid(square[0], square[1], wanted, square[2], square[2])
    for level, (rows, columns, height, width) in known:
        more = tokens - rows * columns
        if prefix is None and not expected and level == 0 and 0 < more <= _MOST_PREFIX:
            return TokenGrid(rows, columns, more, height, width)
    raise InputError(_refusal(tokens, module, image_size, known, grid, expected))


def _window(model, tokens, windows, module, image_size, known, prefix) -> TokenGrid:
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
        for _, (r, c, height, width) in known
        if -(-r // rows) * -(-c // columns) == windows
    }
    whole = {  # where a stage fits without padding, one that would need some is not meant
        (height, width) for _, (r, c, height, width) in known if r * c == windows * rows * columns
    }
    patches = (patches & whole) or patches
    if not known and (square := tiles(windows * rows * columns, image_size)):
        patches = {(square[2], square[2])}
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
            size = pair(getattr(holder, name, None))
            if size and size[0] * size[1] == tokens:
                return int(size[0]), int(size[1])
        if not path:
            return None
        path = path.rpartition(".")[0]


def _refusal(tokens, module, image_size, known, grid, expected) -> str:
    where = f"the {tokens} tokens of {module or 'the model'}"
    options = (
        "grid (rows and columns of patches), prefix (leading tokens that are no patches) and "
        "patch_size (pixels)"
    )
    if not known:
        return f"cannot tell how {where} lie in {by(image_size)} px: give {options}"
    rows, columns = known[0][1][:2]
    if grid is not None:
        return (
            f"a grid of {rows} x {columns} patches behind {expected} other tokens is not {where}: "
            f"give another grid or prefix, or neither"
        )
    return (
        f"{where} are not the {rows} x {columns} patches of {by(image_size)} px behind "
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
    if patch_size is not None and (pair(patch_size) is None or min(pair(patch_size)) <= 0):
        raise InputError(f"patch_size must be one or two positive numbers, not {patch_size}")
