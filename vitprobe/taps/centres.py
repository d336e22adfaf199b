"""The centre of an activation: which position of its grid it is, and its channels there."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from vitprobe.errors import InputError
from vitprobe.taps.axes import ExampleAxis
from vitprobe.taps.sites import Site
from vitprobe.taps.token_grid import token_grid


@dataclass(frozen=True)
class Grid:
    """Where the positions of an activation are: rows x columns of them, behind `prefix` others.

    where: its examples. axes: those of the positions once the examples are first: two of a map, one
    of a sequence.
    """

    rows: int
    columns: int
    where: ExampleAxis
    axes: tuple[int, ...]
    prefix: int = 0

    def at(self, x: Tensor, place: tuple[int, int]) -> Tensor:
        """(n, channels) at row and column `place` of an activation x with the examples first."""
        if len(self.axes) == 1:
            return x.select(self.axes[0], self.prefix + place[0] * self.columns + place[1]).flatten(
                1
            )
        first, second = self.axes  # ascending
        return x.select(second, place[1]).select(first, place[0]).flatten(1)

    def of_cell(self, place: tuple[int, int], image_size: tuple[int, int]) -> tuple[float, float]:
        """The middle of a position's cell: row and column in pixels, (i + 1/2) H / rows - 1/2."""
        pairs = zip(place, image_size, (self.rows, self.columns), strict=True)
        return tuple((i + 0.5) * side / count - 0.5 for i, side, count in pairs)


def grid_of(model: nn.Module, site: Site, image_size: tuple[int, int]) -> Grid | str:
    """The grid of a site's positions; or why it has none."""
    if site.reason:
        return site.reason
    if isinstance(site.tokens, str):
        return f"no position in the image: {site.tokens}"
    axes = tuple(axis + 1 for axis in site.tokens.axes)
    if len(axes) == 2:
        rows, columns = (site.shape[axis] for axis in site.tokens.axes)
        if rows * columns == 1 and "Pool" in site.type:
            return "no position in the image: it is pooled over all"
        return Grid(rows, columns, site.where, axes)
    try:
        tokens = token_grid(model, site.shape[site.tokens.axes[0]], image_size, module=site.module)
    except InputError as error:
        return f"no position in the image: {error}"
    return Grid(tokens.rows, tokens.columns, site.where, axes, tokens.prefix)
