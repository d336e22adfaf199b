"""Names that are too long for their place, shortened together, so that they stay distinct.

In characters at a terminal as in points on a page: whoever asks says how wide a text is.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence

DOTS = "…"
# A word or a number, with what separates it from the one before: `blocks`, `.11`, `.attn`, `_norm`.
PIECE = re.compile(r"[\W_]*(?:\d+|[^\W\d_]+)|[\W_]+")
SEPARATORS = "._/-"

Fits = Callable[[str], bool]
Pieces = dict[str, list[str]]  # of each name, from its end
Needed = dict[str, set[int]]  # of each name, the pieces that it cannot do without


def short_names(names: Sequence[str], longest: float, width: Callable[[str], float]) -> list[str]:
    """The names in their order; those wider than `longest` lose what they share, and keep the end.

    They lose whole words and numbers: of `blocks.11.attn.proj` remains `…attn.proj`; beside
    `blocks.10.attn.proj`, `…11.attn.proj`, or where that is too wide `…11…proj`. Where even this is
    too wide, as many characters of beginning and end remain as fit; only there can two names become
    one.

    width: of a text, in the unit of `longest`.
    """

    def fits(text: str) -> bool:
        return width(text) <= longest

    pieces = {name: PIECE.findall(name)[::-1] for name in names}
    long = [name for name in pieces if not fits(name)]
    # Of names that differ in their numbers only, all of these numbers: the reader looks for them.
    needed = _differences(pieces, {}, _alike({name: _shape(name) for name in pieces}))
    while True:
        short = {name: _kept(pieces[name], needed[name], fits) for name in long}
        alike = _alike(short)
        more = _differences(pieces, needed, alike)
        if more == needed:
            break
        needed = more
    lost = {name for group in alike for name in group}
    for name, text in short.items():
        if text is None or name in lost:
            short[name] = both_ends(name, fits)
    return [short.get(name, name) for name in names]


def both_ends(text: str, fits: Fits) -> str:
    """The text, or as much of its beginning and end, around an ellipsis, as fits."""
    if fits(text):
        return text

    def around(kept: int) -> str:
        return text[: (kept + 1) // 2] + DOTS + text[len(text) - kept // 2 :]

    low, high = 0, len(text)  # characters kept; low fits (or nothing does), high does not
    while high - low > 1:
        kept = (low + high) // 2
        low, high = (kept, high) if fits(around(kept)) else (low, kept)
    return around(low)


def _alike(short: dict[str, str | None]) -> list[list[str]]:
    """The groups of names that have become the same text."""
    groups = defaultdict(list)
    for name, text in short.items():
        if text is not None:
            groups[text].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _differences(pieces: Pieces, needed: Needed, alike: list[list[str]]) -> Needed:
    """What each name needs beside what it needed, so that those alike differ.

    Names that differ in their numbers only need the same, for the reader's eye.
    """
    of_shape = defaultdict(set)
    for group in alike:
        for place in range(max(len(pieces[name]) for name in group)):
            if len({"".join(pieces[name][place : place + 1]) for name in group}) > 1:
                for name in group:
                    of_shape[_shape(name)].add(place)
    return {
        name: needed.get(name, set())
        | {place for place in of_shape[_shape(name)] if place < len(own)}
        for name, own in pieces.items()
    }


def _shape(name: str) -> str:
    return re.sub(r"\d+", "0", name)


def _kept(pieces: list[str], needed: set[int], fits: Fits) -> str | None:
    """The needed pieces and, from the end, as many as fit; of a last one that is too wide its end.

    None where not even the needed ones fit.
    """
    kept = needed | {0}
    if not fits(_joined(pieces, kept)):
        if 0 in needed:
            return None
        begin, last = _joined(pieces, needed) + DOTS, pieces[0]
        ends = (begin + last[start:] for start in range(1, len(last)))
        return next((text for text in ends if fits(text)), None)
    for place in range(len(pieces)):
        if not fits(_joined(pieces, kept | {place})):
            break
        kept = kept | {place}
    return _joined(pieces, kept)


def _joined(pieces: list[str], kept: set[int]) -> str:
    """These pieces, with an ellipsis for what is left out."""
    text, last = "", len(pieces)
    for place in sorted(kept, reverse=True):
        piece = pieces[place]
        if place < last - 1:
            piece = DOTS + (piece.lstrip(SEPARATORS) or piece)
        text, last = text + piece, place
    return text
