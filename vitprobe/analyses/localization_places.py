"""Where the tokens of a layer are in the image: which pixels each of them has for its own place."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

from torch import Tensor

from vitprobe.errors import InputError, option
from vitprobe.passes.surveyed import Surveyed
from vitprobe.taps import Site, select
from vitprobe.taps.token_grid import TokenGrid, token_grid
from vitprobe.taps.tokens import TokenView, has_class_token

MOST_TOKENS = 2048  # of all tokens: sums of (tokens + patches)^2 numbers, 2 GB in all

Place = tuple[int, int]  # row, column
TokenChoice = str | Sequence[Place] | None


@dataclass(frozen=True)
class Places:
    """One layer's tokens, a grid over the image, and the patch of pixels under each.

    site: the layer. axes: those of its per-example shape in which the tokens lie: one, row by row
    behind `prefix` others, or two. has_class: whether token 0 is the class token. down, across:
    (start, stop) in pixels of every row and column of patches. patch: height and width in pixels of
    a whole one.
    """

    site: Site
    axes: tuple[int, ...]
    prefix: int
    has_class: bool
    down: tuple[tuple[int, int], ...]
    across: tuple[tuple[int, int], ...]
    patch: tuple[float, float]

    @property
    def grid(self) -> Place:
        """Rows and columns."""
        return len(self.down), len(self.across)

    @property
    def patches(self) -> int:
        """How many there are."""
        return len(self.down) * len(self.across)

    def tokens_of(self, x: Tensor, chosen: Sequence[Place]) -> list[Tensor]:
        """The class token, where there is one, and chosen tokens of an activation (n, ...): each
        (n, ...), a view of x where its numbers lie side by side, else of a copy."""
        axes = [axis + 1 for axis in self.axes]
        x = x.movedim(axes, list(range(1, len(axes) + 1)))
        if len(axes) == 2:
            x = x.flatten(1, 2)  # (n, tokens, ...)
        if not x[0, 0].is_contiguous():  # channels of a map: gathered at once, not token by token
            x = x.contiguous()
        found = [x[:, 0]] if self.has_class else []
        return found + [x[:, self.prefix + row * self.grid[1] + col] for row, col in chosen]

    def patches_of(self, images: Tensor) -> list[Tensor]:
        """(n, C, H, W) -> for each patch, row by row, a view (n, C, height, width)."""
        return [
            images[:, :, top:low, left:right]
            for top, low in self.down
            for left, right in self.across
        ]


def places_of(model: Surveyed, layer: str | None, options: dict) -> Places:
    """The layer's tokens, or those of the model's last block.

    options: grid, prefix, patch_size, as for `vitprobe.localization`.

    Raises:
        InputError: no such layer or several, one without tokens, tokens whose grid cannot be told,
            a single one.
    """
    label = model.subject.label
    site = _last(model) if layer is None else _named(model, layer)
    view = _view(site, options)
    if isinstance(view, str):
        raise InputError(f"{label}: {site.name} has no tokens to look at: {view}")
    places = _placed(model, site, view, options)
    if places.patches == 1:
        earlier = _earlier(model, site)
        more = f", or an earlier layer ({option('layer', earlier)})" if earlier else ""
        raise InputError(
            f"{label}: {site.name} has a single token, no places to tell apart: give larger images "
            f"({option('image_size')}){more}"
        )
    return places


def token_choice(tokens: TokenChoice) -> list[Place] | None:
    """`"0,0;2,3"` or pairs -> (row, column) of each, ascending; None: all.

    Raises:
        InputError: something else.
    """
    if tokens is None or tokens == "all":
        return None
    if isinstance(tokens, str):
        found = re.fullmatch(r"\s*\d+\s*,\s*\d+\s*(;\s*\d+\s*,\s*\d+\s*)*", tokens)
        pairs = [[int(n) for n in part.split(",")] for part in tokens.split(";")] if found else []
    else:
        try:
            pairs = [list(pair) for pair in tokens]
        except TypeError:
            pairs = []
    fine = all(len(pair) == 2 and all(isinstance(n, Integral) for n in pair) for pair in pairs)
    if not pairs or not fine:
        raise InputError(
            f"{option('tokens')} takes rows and columns of tokens such as 0,0;2,3, not {tokens!r}"
        )
    return sorted({(int(row), int(col)) for row, col in pairs})


def chosen_tokens(label: str, places: Places, asked: list[Place] | None) -> list[Place]:
    """Those that are asked for; all.

    Raises:
        InputError: one that is not there, or all where they are too many.
    """
    rows, columns = places.grid
    if asked is None:
        if places.patches > MOST_TOKENS:
            middle = f"{rows // 2},{columns // 2}"
            raise InputError(
                f"{label}: {places.site.name} has {places.patches:,} tokens, more than the "
                f"{MOST_TOKENS:,} that are compared at once: choose some "
                f"({option('tokens', f'0,0;{middle}')}) or another layer ({option('layer')})"
            )
        return [(row, col) for row in range(rows) for col in range(columns)]
    for row, col in asked:
        if not (0 <= row < rows and 0 <= col < columns):
            raise InputError(
                f"{label}: {places.site.name} has no token {row},{col}: it has {rows} x {columns}, "
                "counted from 0,0"
            )
    return asked


def _named(model: Surveyed, layer: str) -> Site:
    try:
        sites = select(model.sites, layer).sites
    except InputError as error:
        raise InputError(f"{model.subject.label}: {error}") from error
    if len(sites) > 1:
        raise InputError(
            f"{model.subject.label}: {layer!r} is {len(sites)} layers, from {sites[0].name} on: "
            "name one"
        )
    return sites[0]


def _last(model: Surveyed) -> Site:
    """The last block with tokens; in a model without blocks, the last layer with several."""
    sites = [site for site in model.sites if site.reason is None and site.where is not None]
    blocks = [site for site in sites if site.module and site.block == site.module and not site.keys]
    found = [site for site in blocks if isinstance(site.tokens, TokenView)]
    if not found or model.sites.blocks_note:
        found = [site for site in sites if _several(site)] or found
    if not found:
        why = next((site.tokens for site in reversed(blocks or sites)), "nothing of it can be read")
        raise InputError(
            f"{model.subject.label} has no layer with tokens to look at: {why}; name one "
            f"({option('layer')}) and its {option('grid')} of patches"
        )
    return found[-1]


def _several(site: Site) -> bool:
    view = site.tokens
    if isinstance(view, str) or not site.shape:
        return False
    sizes = [site.shape[axis] for axis in view.axes]
    return max(sizes) > 1 and sizes != [view.prefix + 1]


def _earlier(model: Surveyed, site: Site) -> str:
    """The last block before it with several tokens, or any such layer."""
    before = list(model.sites)[: list(model.sites).index(site)]
    before = [each for each in before if each.reason is None and _several(each)]
    blocks = [each for each in before if each.block and each.block == each.module]
    return (blocks or before)[-1].name if before else ""


def _view(site: Site, options: dict) -> TokenView | str:
    """The tokens as the survey saw them; where it could not, as a grid that was given says."""
    grid, view = options["grid"], site.tokens
    if isinstance(view, TokenView) or grid is None or site.where.folded:
        return view
    for axes in ((0, 1), (1, 2)):
        if len(site.shape) == 3 and tuple(site.shape[axis] for axis in axes) == tuple(grid):
            return TokenView(axes)
    count = (options["prefix"] or 0) + grid[0] * grid[1]
    found = [axis for axis, size in enumerate(site.shape) if size == count]
    return TokenView((found[0],), options["prefix"] or 0) if found else view


def _placed(model: Surveyed, site: Site, view: TokenView, options: dict) -> Places:
    height, width = model.image_size
    if len(view.axes) == 2:
        rows, columns = (site.shape[axis] for axis in view.axes)
        if rows > height or columns > width:
            raise InputError(
                f"{model.subject.label}: {site.name} has {rows} x {columns} places, more than its "
                f"image of {height} x {width} px"
            )
        down, across = _divided(height, rows), _divided(width, columns)
        patch = (height / rows, width / columns)
        return Places(site, view.axes, 0, False, down, across, patch)
    axis, grid = _sequence(model, site, view, options)
    down = _side_by_side(height, grid.rows, grid.patch_height)
    across = _side_by_side(width, grid.columns, grid.patch_width)
    if min(stop - start for start, stop in (*down, *across)) < 1:
        raise InputError(
            f"{model.subject.label}: the {grid.rows} x {grid.columns} patches of {site.name} reach "
            f"beyond the image of {height} x {width} px: give {option('patch_size')}"
        )
    has_class = grid.prefix > 0 and has_class_token(model.subject.model)
    patch = (grid.patch_height, grid.patch_width)
    return Places(site, (axis,), grid.prefix, has_class, down, across, patch)


def _sequence(model: Surveyed, site: Site, view: TokenView, options: dict) -> tuple[int, TokenGrid]:
    """The axis of the tokens and their grid.

    Without a convolution to go by, the survey may take features for tokens: the grid decides.
    """
    axes = [*view.axes, *(axis for axis in range(len(site.shape)) if axis not in view.axes)]
    refused = None
    for axis in axes if len(axes) == 2 else axes[:1]:
        try:
            count, size = site.shape[axis], model.image_size
            return axis, token_grid(model.subject.model, count, size, module=site.name, **options)
        except InputError as error:
            refused = refused or error
    raise InputError(f"{model.subject.label}: {refused}")


def _divided(pixels: int, parts: int) -> tuple[tuple[int, int], ...]:
    """Equal parts of a side, cut at the nearest whole pixels."""
    cuts = [(2 * pixels * k + parts) // (2 * parts) for k in range(parts + 1)]
    return tuple(zip(cuts, cuts[1:], strict=False))


def _side_by_side(pixels: int, count: int, patch: float) -> tuple[tuple[int, int], ...]:
    """Patches as an embedding cuts them: what is left at the end is in none, and a last one that
    was filled up ends with the image."""
    cuts = [min(round(k * patch), pixels) for k in range(count + 1)]
    return tuple(zip(cuts, cuts[1:], strict=False))
