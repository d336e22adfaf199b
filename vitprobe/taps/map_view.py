"""Activations as maps over the image: channels, rows and columns, whatever their layout."""

from dataclasses import dataclass
from functools import cache
from math import prod

from torch import Tensor, nn

from vitprobe.errors import InputError
from vitprobe.taps.sites import Site, Survey
from vitprobe.taps.token_grid import token_grid
from vitprobe.taps.tokens import TokenView

_CHANNELS_FIRST = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class MapView:
    """How the patches of a site lie on a grid.

    axes: of one example, those of the grid: one (a sequence, row by row) or two (a map). prefix:
    leading tokens of a sequence that are no patches.
    """

    axes: tuple[int, ...]
    prefix: int
    rows: int
    columns: int
    channels: int

    @property
    def positions(self) -> int:
        return self.rows * self.columns

    def of(self, x: Tensor) -> Tensor:
        """(n, ...), n examples -> (n, channels, rows, columns); a view of x, or a copy where the
        axes of its channels cannot be joined."""
        axes = [axis + 1 for axis in self.axes]
        if self.prefix:
            x = x.narrow(axes[0], self.prefix, x.shape[axes[0]] - self.prefix)
        x = x.movedim(axes, list(range(-len(axes), 0)))
        return x.reshape(len(x), self.channels, self.rows, self.columns)


def map_views(
    model: nn.Module, survey: Survey, image_size: tuple[int, int]
) -> dict[str, MapView | str]:
    """Each site by its name: as a map, or the reason why it is none.

    image_size: height and width of the model's input in pixels. The grid of a sequence is that of
    the model's maps with as many positions, where they agree; else what `token_grid` finds.
    """
    read = [site.tokens for site in survey]
    first = {  # such as 8 channels of 8 x 8, where nothing in the model has its channels last
        site.shape
        for site in survey
        if issubclass(survey.types[site.module], _CHANNELS_FIRST) and len(site.shape) == 3
    }
    if any(isinstance(tokens, TokenView) and tokens.axes == (0, 1) for tokens in read):
        first = set()
    sides = {_sides(site, site.tokens) for site in survey if isinstance(site.tokens, TokenView)}
    grids = {grid for grid in sides if len(grid) == 2}

    @cache
    def grid_of(patches: int, prefix: int) -> tuple[int, int] | str:
        fitting = [grid for grid in grids if prod(grid) == patches]
        if len(fitting) == 1:
            return fitting[0]
        try:
            found = token_grid(model, patches + prefix, image_size, prefix=prefix)
        except InputError as error:
            return str(error)
        return found.rows, found.columns

    def view(site: Site) -> MapView | str:
        if site.where is None:
            return site.reason
        tokens = site.tokens
        if isinstance(tokens, str):
            if site.shape not in first or site.where.folded:
                return f"no map: {tokens}"
            tokens = TokenView((1, 2))
        grid = _sides(site, tokens)
        if len(grid) == 1:
            grid = grid_of(grid[0], tokens.prefix)
        if isinstance(grid, str):
            return f"no map: {grid}"
        others = [size for axis, size in enumerate(site.shape) if axis not in tokens.axes]
        return MapView(tokens.axes, tokens.prefix, *grid, prod(others))

    return _without_pooled(survey, {site.name: view(site) for site in survey})


def _without_pooled(survey: Survey, views: dict[str, MapView | str]) -> dict[str, MapView | str]:
    """What has one position is no map, where its block's output, or the one before it, has more."""
    found, last = {}, 1
    for site in survey:
        view, block = views[site.name], views.get(site.block)
        if isinstance(view, MapView):
            around = block.positions if isinstance(block, MapView) else last
            if site.block == site.module:
                last = view.positions
            if view.positions < around and view.positions == 1:
                view = "no map: it is pooled to one position"
        found[site.name] = view
    return found


def _sides(site: Site, tokens: TokenView) -> tuple[int, ...]:
    """Patches along the axes that hold them."""
    first, *rest = (site.shape[axis] for axis in tokens.axes)
    return first - tokens.prefix, *rest
