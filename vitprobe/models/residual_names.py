"""What residual sums are called, by the modules that compute their long branches."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from vitprobe.models.blocks import enclosing_block


class Made(NamedTuple):
    """How a residual sum is made.

    module, place: as in `SumKey`. inside: paths of the modules that mix on the long branch.
    attention, convolution: whether there is any on it.
    """

    module: str
    place: int
    inside: Sequence[str]
    attention: bool
    convolution: bool


class Names(NamedTuple):
    """As in `ResidualSum`."""

    name: str
    block: str
    kind: str


def named(sums: Sequence[Made], blocks: Sequence[str]) -> list[Names]:
    """The names of a model's residual sums, in their order. blocks: paths of its blocks."""
    known = set(blocks)
    places = [_common(each.inside or [each.module]) for each in sums]
    within = [
        enclosing_block(each.module, known) or enclosing_block(place, known)
        for each, place in zip(sums, places, strict=True)
    ]
    # a module outside all blocks is its own where it makes sums
    groups = [block or each.module for block, each in zip(within, sums, strict=True)]
    distinct = {(group, *each[:2]) for group, each in zip(groups, sums, strict=True)}
    of_group = Counter(group for group, *_ in distinct)
    of_module = Counter(module for _, module, _ in distinct)
    found = []
    for each, place, group, block in zip(sums, places, groups, within, strict=True):
        alone = bool(group) and of_group[group] == 1
        kind = "attention" if each.attention else "mlp"
        if each.convolution and (alone or (of_module[each.module] == 1 and not each.attention)):
            kind = "block"
        if alone:
            name = group
        elif of_module[each.module] == 1 and _below(each.module, group) and _in(place, each.module):
            name = each.module
        else:
            name = _part(each.module, place, group) or _joined(group, kind)
        found.append(Names(name, block, kind))
    return _unique(found)


def _common(paths: Sequence[str]) -> str:
    """The deepest path that all of these are at or below."""
    first, *others = (path.split(".") for path in paths)
    for other in others:
        same = 0
        while same < min(len(first), len(other)) and first[same] == other[same]:
            same += 1
        first = first[:same]
    return ".".join(first)


def _part(module: str, place: str, group: str) -> str:
    """The part of the group that computes a branch: below the module that makes the sum its child,
    else where in the group it is; "": no part of it."""
    if _below(place, module):
        inside = _joined(module, "")
        return inside + place.removeprefix(inside).partition(".")[0]
    return place if _below(place, group) else ""


def _below(path: str, other: str) -> bool:
    return path != other and path.startswith(_joined(other, ""))


def _in(path: str, other: str) -> bool:
    return path == other or _below(path, other)


def _joined(path: str, child: str) -> str:
    return f"{path}.{child}" if path else child


def _unique(names: Sequence[Names]) -> list[Names]:
    """`#2`, `#3`, ... after names that came before: a module that is called twice, for instance."""
    seen: Counter[str] = Counter()
    found = []
    for each in names:
        seen[each.name] += 1
        again = f"#{seen[each.name]}" if seen[each.name] > 1 else ""
        found.append(each._replace(name=each.name + again))
    return found
