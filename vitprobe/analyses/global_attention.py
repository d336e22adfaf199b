"""Attention over the whole image: which layers of a model have it, and which of them are meant."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from vitprobe.analyses.attention_heads import why_none
from vitprobe.errors import InputError, did_you_mean
from vitprobe.taps import AttentionSite


def global_attention(
    label: str, found: Sequence[AttentionSite]
) -> tuple[list[AttentionSite], dict[str, str]]:
    """Of all sites found, those where every token can attend to every other, over one grid.

    Returns:
        The sites in firing order, and the attention-like modules that cannot be read: name ->
        reason.

    Raises:
        InputError: the model of this label has no attention that can be read, or has it in windows
            or over several grids.
    """
    sites = [site for site in found if not site.reason]
    unread = [site for site in found if site.reason]
    if not sites:
        raise InputError(why_none(label, unread))
    for site in sites:
        if site.per_image > 1:
            raise InputError(
                f"{label} attends within windows ({site.name}: {site.per_image} of {site.tokens} "
                "tokens each): there is no attention over the whole image"
            )
        if site.tokens != sites[0].tokens:
            raise InputError(
                f"{label} has {sites[0].tokens} tokens at {sites[0].name} and {site.tokens} at "
                f"{site.name}: its attention has no one grid of patches"
            )
    return sites, {site.name: site.reason for site in unread}


def choose_layers(
    sites: Sequence[AttentionSite], layers: str | Sequence[str]
) -> list[AttentionSite]:
    """The sites meant by `all`, a site's name, its block's (`blocks.3`), a glob, or a list of them.

    Raises:
        InputError: a word that matches no site.
    """
    chosen = set()
    for word in [layers] if isinstance(layers, str) else layers:
        matching = {site.name for site in sites if _matches(site.name, word)}
        if not matching:
            names = [site.name for site in sites]
            raise InputError(
                f"no attention is called {word!r}"
                f"{did_you_mean(word, names) or ': there are ' + ', '.join(names)}"
            )
        chosen |= matching
    return [site for site in sites if site.name in chosen]


def _matches(name: str, word: str) -> bool:
    if word == "all" or name == word or name.startswith(word + "."):
        return True
    return bool(re.search(r"[*?\[]", word)) and fnmatchcase(name, word)
