"""Which heads of a model can be read, and where the tokens are that they look at."""

from dataclasses import dataclass, field

from vitprobe.errors import InputError
from vitprobe.passes.surveyed import Surveyed
from vitprobe.taps import AttentionSite
from vitprobe.taps.token_grid import TokenGrid, token_grid


@dataclass
class Heads:
    """One model's attention layers.

    sites: those whose attention can be read, in the order in which they fire.
    refused: those whose attention cannot be read.
    grids: site's name -> where its tokens are; without those of `blanks`.
    blanks: site's name -> why the layer has no value.
    """

    model: Surveyed
    sites: list[AttentionSite]
    refused: list[AttentionSite]
    grids: dict[str, TokenGrid] = field(default_factory=dict)
    blanks: dict[str, str] = field(default_factory=dict)

    @property
    def computed(self) -> list[AttentionSite]:
        """Those whose values can be computed."""
        return [site for site in self.sites if site.name in self.grids]


def located(model: Surveyed, options: dict) -> Heads:
    """The sites of one model with the grids of their tokens.

    Raises:
        InputError: no site can be read, or of none the grid can be told.
    """
    label, sites = model.subject.label, model.attention
    readable = [site for site in sites if not site.reason]
    heads = Heads(model, readable, [site for site in sites if site.reason])
    if not readable:
        raise InputError(why_none(label, heads.refused))
    for site in readable:
        try:
            heads.grids[site.name] = token_grid(
                model.subject.model,
                site.tokens,
                model.image_size,
                windows=site.per_image,
                module=site.name,
                **options,
            )
        except InputError as error:
            heads.blanks[site.name] = str(error)
    if not heads.grids:
        raise InputError(f"{label}: {heads.blanks[readable[0].name]}")
    return heads


def why_none(label: str, refused: list[AttentionSite]) -> str:
    """One line for a model none of whose attention can be read."""
    if not refused:
        return f"{label} has no attention: nothing in it looks like self-attention of tokens"
    names: dict[str, list[str]] = {}
    for site in refused:
        names.setdefault(site.reason, []).append(site.name)
    seen = "; ".join(
        f"{found[0]}{f' and {len(found) - 1} more' if len(found) > 1 else ''}: {reason}"
        for reason, found in names.items()
    )
    return f"no attention of {label} can be read: {seen}"
