"""What of a layer a probe gets: which tokens, how many numbers, and how they are kept."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from vitprobe.analyses.probe_options import ProbeOptions
from vitprobe.analyses.probe_roles import Roles
from vitprobe.errors import InputError, option, say
from vitprobe.passes.surveyed import Surveyed
from vitprobe.taps import Site, select
from vitprobe.taps.token_grid import token_grid
from vitprobe.taps.tokens import TokenView, select_tokens

EXACT = 64 * 2**20  # bytes of features that are kept before they would be projected


@dataclass(frozen=True)
class ProbeSite:
    """One layer as a probe reads it.

    tokens: how many have a probe of their own. prefix: those of them that are no patches. rows,
    columns: of the others; 0: not known. features: numbers that a probe gets; width: after their
    projection. summed: whether images to fit on are summed, and not kept. view: where the tokens
    are; None: it has none. grid: rows and columns of a sequence's patches, where they are pooled.
    """

    site: Site
    view: TokenView | None
    features: int
    width: int
    summed: bool
    tokens: int = 1
    prefix: int = 0
    rows: int = 0
    columns: int = 0
    grid: tuple[int, int] | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Of features that are kept."""
        return torch.promote_types(self.site.dtype, torch.float32)

    @property
    def described(self) -> dict[str, Any]:
        """What a result tells of it, as JSON can hold it."""
        names = ("features", "width", "summed", "tokens", "prefix", "rows", "columns")
        site = {"name": self.site.name, "type": self.site.type, "block": self.site.block}
        dtype = str(self.dtype).removeprefix("torch.")
        return site | {name: getattr(self, name) for name in names} | {"dtype": dtype}

    def features_of(self, x: Tensor, options: ProbeOptions) -> Tensor:
        """An activation (n, ...) -> (n, tokens, features), float32 at least."""
        x = self._tokens_of(x, options)
        return x.reshape(len(x), self.tokens, self.features).to(self.dtype)

    def _tokens_of(self, x: Tensor, options: ProbeOptions) -> Tensor:
        if self.view is None:
            return x
        axes = [axis + 1 for axis in self.view.axes]
        if options.tokens == "mean" and options.pool:
            x = select_tokens(x, self.view, "patches").movedim(axes, list(range(-len(axes), 0)))
            x = x.reshape(len(x), -1, *(self.grid or x.shape[-2:])).to(self.dtype)
            return adaptive_avg_pool2d(x, (self.rows, self.columns))
        if options.tokens == "mean":
            return select_tokens(x, self.view, "mean")
        if options.tokens == "mean-all":
            return x.mean(axes, dtype=self.dtype)
        if options.tokens == "each":
            return x.movedim(axes, list(range(1, len(axes) + 1)))
        for axis in reversed(axes):  # cls, first
            x = x.select(axis, 0)
        return x


class Sketch:
    """A seeded random projection: features with random signs, summed in `width` random groups of
    one size.

    Products of two vectors are kept in the mean over seeds, with a variance of about |x|^2 |y|^2 /
    width (the count sketch of Charikar et al. 2002, with groups of one size). It needs one number
    for each feature, where a matrix needs `width`.
    """

    def __init__(self, features: int, width: int, seed: int):
        generator = torch.Generator().manual_seed(seed)
        self._order = torch.randperm(features, generator=generator)
        self._signs = 2.0 * torch.randint(2, (features,), generator=generator) - 1
        self._width, self._more = width, -features % width

    def __call__(self, x: Tensor) -> Tensor:
        """(n, T, p) -> (n, T, width)."""
        if self._order.device != x.device:
            self._order, self._signs = self._order.to(x.device), self._signs.to(x.device)
        x = x[..., self._order] * self._signs.to(x.dtype)
        return pad(x, (0, self._more)).unflatten(-1, (self._width, -1)).sum(-1)


def probe_sites(
    model: Surveyed, layers: Any, options: ProbeOptions, roles: Roles, notes: list[str]
) -> list[ProbeSite]:
    """The layers that are asked for, and that have such tokens; a note tells of others.

    Raises:
        InputError: no such layer, or none with such tokens.
    """
    label = model.subject.label
    try:
        selection = select(model.sites, layers)
    except InputError as error:
        raise InputError(f"{label}: {error}") from error
    if selection.note:
        say(notes, f"{label}: {selection.note}")
    grid_of = cache(partial(_grid, model))
    found, without = [], {}
    for site in selection.sites:
        read = _site(site, options, roles, grid_of)
        if isinstance(read, str):
            without[site.name] = read
        else:
            found.append(read)
    pooled = [each for each in found if each.view is not None]
    if not found or (without and not pooled and options.tokens == "cls"):
        name, why = next(iter(without.items()))
        other = option("tokens", "mean" if options.tokens != "mean" else "first")
        raise InputError(
            f"no layer of {label} has {option('tokens', options.tokens)}: {name}: {why}; use "
            f"{other}, or other layers ({option('layers')})"
        )
    if without:
        name, why = next(iter(without.items()))
        more = f" and {len(without) - 1} more" if len(without) > 1 else ""
        asked = option("tokens", options.tokens)
        say(notes, f"{label}: {name}{more} left out of {asked}: {why}")
    return found


def _site(
    site: Site, options: ProbeOptions, roles: Roles, grid_of: Callable[[int, int], tuple[int, int]]
) -> ProbeSite | str:
    """The layer as it is read, or why it has no such tokens."""
    view = site.tokens if isinstance(site.tokens, TokenView) else None
    if view is None and len(site.shape) > 1:
        return str(site.tokens)
    tokens, prefix, rows, columns, grid = 1, 0, 0, 0, None
    features = site.features
    if view is not None:
        if options.tokens == "cls" and not view.has_class:
            return "it has no class token"
        sizes = [site.shape[axis] for axis in view.axes]
        places = math.prod(sizes)
        features //= places
        if options.tokens == "each":
            tokens, prefix = places, view.prefix
            rows, columns = sizes if len(sizes) == 2 else grid_of(places, prefix)
        elif options.pool:
            if len(sizes) == 1:
                grid = grid_of(places, view.prefix)
                if not grid[0]:
                    return "the grid of its tokens cannot be told"
            within = grid or sizes
            rows, columns = (min(pair) for pair in zip(options.pool, within, strict=True))
            features *= rows * columns
    width, summed = _kept(features, tokens, site.dtype, options, roles)
    return ProbeSite(site, view, features, width, summed, tokens, prefix, rows, columns, grid)


def _grid(model: Surveyed, tokens: int, prefix: int) -> tuple[int, int]:
    """Rows and columns of a sequence's patches; 0, 0 where that cannot be told."""
    try:
        found = token_grid(model.subject.model, tokens, model.image_size, prefix=prefix)
    except InputError:
        return 0, 0
    return found.rows, found.columns


def _kept(
    features: int, tokens: int, dtype: torch.dtype, options: ProbeOptions, roles: Roles
) -> tuple[int, bool]:
    """How many features are left of so many, and whether images to fit on are summed: whatever
    needs less memory."""
    size = torch.promote_types(dtype, torch.float32).itemsize * tokens
    rows = len(roles.order)
    width = features
    if features > options.width and features * rows * size > EXACT:
        width = options.width
    can = options.solver == "ridge" and options.shots is None and roles.classes > 0
    sums = 8 * tokens * width * (width + roles.classes)
    saved = len(roles.fit) * width * size
    return width, can and sums < saved
