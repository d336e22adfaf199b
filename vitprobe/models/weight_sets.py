"""Where in a file the weights of a model are: found by fit, not by a list of known names.

A file may hold several dictionaries of tensors (raw and averaged weights, student and teacher), at
any depth, and each may hold several networks under prefixes (`backbone.`, `module.encoder_q.`).
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Size, Tensor

from vitprobe.errors import InputError, did_you_mean
from vitprobe.models.reading.placeholder import Placeholder, module_state, unread_kind
from vitprobe.text import printable

# Parts of a name that DataParallel and torch.compile add.
WRAPPING = ("module", "_orig_mod")
NAME = 512  # characters of a weight's name, at most
LEVELS = 1000  # of dictionaries within dictionaries
KEY = 100  # characters of a dictionary's name that are kept
PREFIXES = 64  # of one dictionary that are tried
# Of several sets that fit alike: averaged weights and teachers come first, and what only serves to
# make them, or to train against, last.
PREFERRED = ("ema", "teacher", "averaged", "average", "swa")
LAST = ("raw", "student", "momentum", "k", "optimizer")


@dataclass(frozen=True)
class WeightSet:
    """One dictionary of tensors in a file.

    held: the dictionary. outer, name: the one that it lies in, and under which name there.
    """

    held: Mapping[Any, Any]
    outer: WeightSet | None = None
    name: Any = ""

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Those of its items that are tensors, under the names that the file gives them."""
        return {
            name: value
            for name, value in self.held.items()
            if isinstance(name, str) and isinstance(value, Tensor) and len(name) <= NAME
        }

    @property
    def key(self) -> str:
        """The way to it, dotted; "" for the file's own."""
        names, here = [], self
        while here.outer is not None:
            is_name = isinstance(here.name, str | int)
            names.append(printable(here.name, KEY) if is_name else type(here.name).__name__)
            here = here.outer
        return ".".join(reversed(names))

    def beside(self) -> dict[Any, Any]:
        """What stands beside the weights, and beside what they are in; the innermost wins."""
        found = {name: value for name, value in self.held.items() if name not in self.weights}
        here = self
        while here.outer is not None:
            others = {name: value for name, value in here.outer.held.items() if name != here.name}
            found, here = others | found, here.outer
        return found


@dataclass(frozen=True)
class Wanted:
    """What a model needs: plain name -> shape; and which of these names are its classifier's."""

    shapes: Mapping[str, Size]
    classifier: Collection[str] = ()


@dataclass(frozen=True)
class Found:
    """The weights of one network.

    state: under plain names, without the prefix. key: where they were, prefix included, as `#KEY`
    names it. prefix: what was taken off every name. left_out: plain names of the same dictionary
    without this prefix. beside: see `WeightSet.beside`. alike: keys of others that fit as well.
    """

    state: dict[str, Tensor]
    key: str
    prefix: str
    left_out: tuple[str, ...]
    beside: dict[Any, Any]
    alike: tuple[str, ...] = ()


def plain_name(key: str) -> str:
    """A weight's name without what DataParallel and torch.compile put before it or into it."""
    *path, last = key.split(".")
    return ".".join([part for part in path if part not in WRAPPING] + [last])


def weight_sets(held: Any) -> list[WeightSet]:
    """Every dictionary of tensors in what a file held, from the outermost inwards."""
    return list(_walk(held))


def find_weights(
    sets: list[WeightSet], path: Path, wanted: Wanted | None = None, key: str = ""
) -> Found:
    """The network that fits best.

    wanted: None takes the largest dictionary as it is.
    key: only weights at a place of the file that these names, with dots between, lead to.

    The most names count, then the most shapes; then PREFERRED and LAST decide, then the order in
    the file. Raises InputError for a key that is not there, and two weights of one plain name.
    """
    there = [
        _Candidate(each, prefix, wanted) for each in sets for prefix in _prefixes(each, wanted)
    ]
    found = [each for each in there if not key or _is_at(each.key, plain_name(f"{key}.")[:-1])]
    if not found:
        names = [each.key for each in sorted(there, key=lambda each: each.rank) if each.key][::-1]
        known = f": there are {', '.join(names[:6])}" if names else ": its weights have no key"
        raise InputError(
            f"checkpoint {path} has no weights under {key!r}{did_you_mean(key, names) or known}"
        )
    best = max(found, key=lambda each: each.rank)  # the first of equals
    alike = [each.key for each in found if each.fit == best.fit and not each.is_same(best)]
    return best.read(path, tuple(alike) if best.fit[0] else ())


class _Candidate:
    """One network in a dictionary of tensors: the weights with one prefix."""

    def __init__(self, held: WeightSet, prefix: str, wanted: Wanted | None):
        self.held, self.prefix, self.wanted = held, prefix, wanted
        self.key = plain_name(f"{held.key}.{prefix}".lstrip("."))[:-1]
        inside = [key for key in held.weights if plain_name(key).startswith(prefix)]
        self.names = {key: plain_name(key)[len(prefix) :] for key in inside}
        shapes = {name: held.weights[key].shape for key, name in self.names.items()}
        if wanted is None:
            self.fit, head = (len(shapes), 0), 0
        else:
            known = [name for name in shapes if name in wanted.shapes and not is_counter(name)]
            trunk = [name for name in known if name not in wanted.classifier]
            same = sum(shapes[name] == wanted.shapes[name] for name in trunk)
            self.fit, head = (len(trunk), same), sum(name in shapes for name in wanted.classifier)
        words = set(re.split(r"[._\-]", self.key.lower()))
        preference = bool(words & {*PREFERRED}) - bool(words & {*LAST})
        self.rank = (*self.fit, preference, head)

    def is_same(self, other: _Candidate) -> bool:
        """The very tensors, found on two ways."""
        own = {id(self.held.weights[key]) for key in self.names}
        return own == {id(other.held.weights[key]) for key in other.names}

    def read(self, path: Path, alike: tuple[str, ...]) -> Found:
        state: dict[str, Tensor] = {}
        for key, name in self.names.items():
            if name in state:
                raise InputError(
                    f"checkpoint {path} holds {name} twice, with a prefix (module. or _orig_mod.) "
                    f"and without: save the weights of one model"
                )
            state[name] = _whole(self.held.weights[key], name, path)
        self._refuse_unread(path)
        left_out = tuple(plain_name(key) for key in self.held.weights if key not in self.names)
        return Found(state, self.key, self.prefix, left_out, self.held.beside(), alike)

    def _refuse_unread(self, path: Path) -> None:
        """Raise InputError where a weight that the model needs is of a kind that is not read."""
        for key, value in self.held.held.items() if self.wanted else ():
            kind = unread_kind(value) if isinstance(key, str) else ""
            name = plain_name(key).removeprefix(self.prefix) if kind else ""
            if kind and name in self.wanted.shapes:
                raise InputError(
                    f"checkpoint {path}: {name} is {kind}, which is not read: save its weights as "
                    "dense tensors of floating-point numbers"
                )


def _whole(weight: Tensor, name: str, path: Path) -> Tensor:
    """The weight; InputError where it is one number repeated, which may claim any size."""
    if weight.numel() * weight.element_size() > weight.untyped_storage().nbytes():
        raise InputError(
            f"checkpoint {path}: {name} {tuple(weight.shape)} claims more numbers than it has: "
            "save the weights as contiguous tensors"
        )
    return weight.detach()


def is_counter(name: str) -> bool:
    """Batch norm's counter, which old files lack and nothing but training reads."""
    return name.endswith("num_batches_tracked")


def _prefixes(held: WeightSet, wanted: Wanted | None) -> list[str]:
    """What the names of these weights may begin with, so that the rest is a name of the model."""
    votes: Counter[str] = Counter()
    if wanted is not None:
        for key in held.weights:
            parts = plain_name(key).split(".")
            for i in range(len(parts)):
                if ".".join(parts[i:]) in wanted.shapes:
                    votes["".join(f"{part}." for part in parts[:i])] += 1
    most = {prefix for prefix, _ in votes.most_common(PREFIXES)}
    return [prefix for prefix in votes if prefix in most] or [""]


def _walk(held: Any) -> Iterator[WeightSet]:
    waiting = deque([(0, WeightSet(held))])
    seen: set[int] = set()
    while waiting:  # level by level
        level, here = waiting.popleft()
        inside = _inside(here.held)
        if inside is None or id(here.held) in seen or level > LEVELS:
            continue
        seen.add(id(here.held))
        here = replace(here, held=inside)
        if here.weights:
            yield here
        waiting += [
            (level + 1, WeightSet(value, here, name))
            for name, value in inside.items()
            if name not in here.weights
        ]


def _inside(held: Any) -> Mapping[Any, Any] | None:
    """What may hold weights, as a dictionary: also a pickled module, and an object's attributes."""
    if isinstance(held, list | tuple):
        return dict(enumerate(held))
    if isinstance(held, Placeholder):
        weights = module_state(held)
        if weights is not None:
            return weights
        attributes = held.state if isinstance(held.state, dict) else {}
        return attributes | held.entries | dict(enumerate(held.items))
    if isinstance(held, Namespace):
        return vars(held)
    return held if isinstance(held, Mapping) else None


def _is_at(place: str, key: str) -> bool:
    """Whether the parts of `key` follow one another in this place."""
    parts, wanted = place.split("."), key.split(".")
    starts = range(len(parts) - len(wanted) + 1)
    return any(parts[i : i + len(wanted)] == wanted for i in starts)
