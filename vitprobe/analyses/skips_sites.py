"""Where the tokens, the class token and the channels are at each skip of a model."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from vitprobe.errors import InputError
from vitprobe.models.residual import has_graph
from vitprobe.passes.surveyed import Surveyed
from vitprobe.taps import ResidualSite
from vitprobe.taps.token_grid import TokenGrid, token_grid
from vitprobe.taps.tokens import TokenView, has_class_token

AMBIGUOUS = "two of its axes could be the tokens"


@dataclass(frozen=True)
class Skip:
    """One residual sum, as it is read.

    axis: of the channels, in a batch. cls, registers, patches: how many tokens are which; in this
    order they lie side by side, patches row by row. rows, columns: of the patches; 0 where that
    cannot be told, with the reason in `no_map`. blank: why it cannot be read, or "".
    """

    site: ResidualSite
    axis: int = 0
    cls: int = 0
    registers: int = 0
    patches: int = 0
    rows: int = 0
    columns: int = 0
    no_map: str = ""
    blank: str = ""

    @property
    def channels(self) -> int:
        """How many numbers a token has; 0 where that is not known."""
        return self.site.shape[self.axis - 1] if self.axis else 0

    @property
    def described(self) -> dict[str, Any]:
        """What a result tells of it, as JSON can hold it."""
        names = ("cls", "registers", "patches", "rows", "columns", "no_map", "channels", "blank")
        each = self.site.sum
        return {"name": each.name, "block": each.block, "kind": each.kind} | {
            name: getattr(self, name) for name in names
        }


def skips_of(model: Surveyed) -> list[Skip]:
    """The skips of one model.

    Raises:
        InputError: it has none, or none can be read.
    """
    label, sites = model.subject.label, model.residuals
    if not sites:
        if not has_graph(model.subject.model, model.images):
            raise InputError(
                f"skips of {label} cannot be found: it computes without gradients "
                "(torch.no_grad, inference_mode), which show what comes from what"
            )
        raise InputError(
            f"{label} has no skips: nothing in it adds what enters a part to what the part computes"
        )
    # of all skips a few numbers of tokens: each is looked for once
    grid_of = cache(partial(token_grid, model.subject.model, image_size=model.image_size))
    found = [_skip(site, model, grid_of) for site in sites]
    if all(skip.blank for skip in found):
        raise InputError(f"no skip of {label} can be read: {found[0].site.name}: {found[0].blank}")
    return found


def _skip(site: ResidualSite, model: Surveyed, grid_of: Callable[..., TokenGrid]) -> Skip:
    if site.reason:
        return Skip(site, blank=site.reason)
    if site.tokens == AMBIGUOUS:
        return Skip(site, blank=AMBIGUOUS)
    view, shape = site.tokens, site.shape
    if isinstance(view, TokenView) and len(shape) - len(view.axes) == 1:
        (channels,) = set(range(len(shape))) - set(view.axes)
        sizes = [shape[axis] for axis in view.axes]
        if len(sizes) == 2:
            return Skip(site, channels + 1, 0, 0, sizes[0] * sizes[1], *sizes)
        return _sequence(site, channels + 1, sizes[0], view, grid_of)
    positions = 1
    for size in shape[:-1]:
        positions *= size
    if positions == 1 and len(shape) > 1 and has_class_token(model.subject.model):
        return Skip(site, len(shape), cls=1, no_map="it is of the class token alone")
    reason = view if isinstance(view, str) else "its tokens are split into heads"
    return Skip(site, len(shape), patches=positions, no_map=reason)


def _sequence(
    site: ResidualSite, axis: int, tokens: int, view: TokenView, grid_of: Callable[..., TokenGrid]
) -> Skip:
    cls = int(view.has_class)
    groups = (cls, view.prefix - cls, tokens - view.prefix)
    try:
        grid = grid_of(tokens, prefix=view.prefix)
    except InputError as error:
        return Skip(site, axis, *groups, no_map=str(error))
    return Skip(site, axis, *groups, grid.rows, grid.columns)
