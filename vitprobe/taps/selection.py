"""Which sites are meant: words, names, globs, types."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from vitprobe.errors import InputError, did_you_mean, option
from vitprobe.taps.sites import Site, Survey
from vitprobe.taps.tokens import check_tokens, why_no_tokens

Layers = str | type[nn.Module] | Iterable[str | type[nn.Module]]

WORDS = ("all", "modules", "blocks")


@dataclass(frozen=True)
class Selection:
    """The sites to read, in firing order, and what became of the others that were asked for."""

    sites: tuple[Site, ...]
    left_out: dict[str, str]  # name -> reason
    folded: dict[str, str]  # name -> name of the earlier site whose very tensor it is
    note: str = ""  # what a reader should know of `blocks`, if they were asked for
    tokens: str = "all"  # which of each site


def select(survey: Survey, layers: Layers = "all", tokens: str = "all") -> Selection:
    """The sites that `layers` asks for and that have these tokens.

    layers is one of these, or a list of them (their union):
      all      every distinct activation; a site that hands on the very tensor of another is folded
      modules  every site that fires, such twins included
      blocks   the outputs of the model's blocks, and its own `output`; where it has no blocks of
               the usual kind, of its parts or layers, and the selection's note says so
      a name (`blocks.3.mlp.fc2`, `relu#2`, `lstm[1]`), a glob over names (`*` crosses dots:
      `blocks.*.mlp.fc2`), a type (`Conv2d`: this class name; a class: it and its subclasses).
    What is asked for otherwise than by `all` appears under its own name, also a twin.
    tokens: all, cls, patches, mean (see vitprobe.taps.tokens.select_tokens).

    Raises InputError for a pattern that matches nothing (with near names), for a name that is left
    out (with the reason), and when nothing remains.
    """
    check_tokens(tokens)
    asked: set[str] = set()
    folding = False
    is_one = isinstance(layers, str | type) or not isinstance(layers, Iterable)
    patterns = [layers] if is_one else list(layers)
    for pattern in patterns:
        if pattern == "all":
            folding = True
        elif not isinstance(pattern, str | type):
            raise InputError(f"a layer is a word, a name, a glob or a class, not {pattern!r}")
        else:
            asked.update(site.name for site in _matches(survey, pattern, tokens))

    sites, left_out, folded = [], {}, {}
    for site in survey:
        if not (folding or site.name in asked):
            continue
        reason = _why_left_out(site, tokens)
        if reason:
            left_out[site.name] = reason
        elif site.twin and site.name not in asked:
            folded[site.name] = site.twin
        else:
            sites.append(site)
    if not sites:
        example = next(iter(left_out.items()), None)
        why = f": {example[0]!r}: {example[1]}" if example else ""
        words = ",".join(getattr(each, "__name__", str(each)) for each in patterns) or "none"
        asked_for = f"{option('layers', words)} with {option('tokens', tokens)}"
        raise InputError(f"no layer is left of {asked_for}{why}")
    note = survey.blocks_note if "blocks" in patterns else ""
    return Selection(tuple(sites), left_out, folded, note, tokens)


def _matches(survey: Survey, pattern: str | type, tokens: str) -> list[Site]:
    if isinstance(pattern, type):
        found = [site for site in survey if issubclass(survey.types[site.module], pattern)]
        if not found:
            raise InputError(f"this model has no module of class {pattern.__name__}")
        return found
    if pattern == "modules":
        return list(survey)
    if pattern == "blocks":
        return _block_outputs(survey)
    if pattern in survey.by_name or pattern in survey.aliases:
        site = survey[pattern]
        reason = _why_left_out(site, tokens)
        if reason:
            raise InputError(f"layer {pattern!r} cannot be read: {reason}")
        return [site]
    found = []
    if re.search(r"[*?\[]", pattern):
        found = [site for site in survey if fnmatchcase(site.name, pattern)]
    found = found or [site for site in survey if site.type == pattern]
    if not found:
        known = [*WORDS, *survey.by_name, *dict.fromkeys(site.type for site in survey)]
        raise InputError(
            f"no layer matches {pattern!r}: give all, modules, blocks, a name, a glob or a type "
            f"({survey.listed}){did_you_mean(pattern, known)}"
        )
    return found


def _block_outputs(survey: Survey) -> list[Site]:
    found = [site for site in survey if site.block == site.module and site.keys is None]
    if not any(site.module for site in found):
        raise InputError("no blocks found: give 'all', or names of layers")
    return found


def _why_left_out(site: Site, tokens: str) -> str | None:
    return site.reason or why_no_tokens(site.shape, site.tokens, tokens)
