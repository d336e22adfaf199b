"""The model spec `NAME[(ARG=LITERAL, ...)][@WEIGHTS[#KEY]]`, taken apart."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Any

from vitprobe.errors import InputError
from vitprobe.files import expanded

RANDOM = "random"
PRETRAINED = "pretrained"
DIGITS = "digits"
WORDS = (RANDOM, PRETRAINED, DIGITS)  # what stands for weights besides a file
SHIPPED = ("vit", "resnet20")  # trained on digits by tools/make_digits_weights.py
WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Spec:
    """What to build and where its weights come from.

    name: a model's name, before it is looked up.
    arguments: of its constructor, plain values.
    weights: `random`, `pretrained`, `digits` (ships with vitprobe), or a file's path as given.
    key: which of several sets of weights in the file; "" leaves the choice to the fit.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weights: str = RANDOM
    key: str = ""

    @property
    def path(self) -> Path | None:
        """The checkpoint's file, or None for `random` and `pretrained`.

        Raises InputError for `digits` of a name whose weights do not ship.
        """
        if self.weights in (RANDOM, PRETRAINED):
            return None
        if self.weights != DIGITS:
            return expanded(self.weights, "checkpoint")
        if self.name not in SHIPPED:
            shipped = " and ".join(f"{name}@{DIGITS}" for name in SHIPPED)
            raise InputError(
                f"no weights {self.name}@{DIGITS} ship with vitprobe: there are {shipped} "
                f"(a file of that name is {self.name}@./{DIGITS})"
            )
        return WEIGHTS / f"{self.name}-{DIGITS}.safetensors"

    @property
    def model(self) -> str:
        """`NAME(ARG=VALUE, ...)`, without weights."""
        given = ",".join(f"{key}={value!r}" for key, value in self.arguments.items())
        return f"{self.name}({given})" if given else self.name

    @property
    def weights_and_key(self) -> str:
        """`WEIGHTS#KEY`, as `split_key` takes it apart."""
        return f"{self.weights}#{self.key}" if self.key else self.weights

    def __str__(self) -> str:
        return f"{self.model}@{self.weights_and_key}"


def parse_spec(text: str) -> Spec:
    """`NAME[(ARG=LITERAL, ...)][@WEIGHTS[#KEY]]` -> Spec.

    The name ends at the first `(` or `@`, the weights begin at the `@` after it (a path may hold
    others). Arguments are literals of Python (numbers, strings in quotes, True, None, tuples,
    lists): they are parsed, never evaluated. `#` begins a key unless a file of the whole name
    exists.

    Raises InputError where the name, the weights or the key are empty, and for other arguments.
    """
    text = text.strip()
    end = _arguments_end(text, 0, "(@")
    head, rest = text[:end], text[end:]
    name, opened, given = head.partition("(")
    name = name.strip()
    if rest and not rest.startswith("@"):
        raise InputError(f"model spec {text!r}: after the arguments of {name} comes @WEIGHTS")
    if not name:
        raise InputError(f"model spec {text!r} has no name: write NAME or NAME@WEIGHTS, as in vit")
    arguments = _literals(text, name, given.removesuffix(")")) if opened else {}
    if not rest:
        return Spec(name, arguments)
    weights, key = split_key(rest[1:])
    if not weights or rest.endswith("#") and not key and weights != rest[1:]:
        what = "'#'" if weights else "'@'"
        raise InputError(
            f"model spec {text!r} has nothing after {what}: write {name}@random, "
            f"{name}@pretrained, {name}@FILE or {name}@FILE#KEY"
        )
    return Spec(name, arguments, weights, key)


def split_label(text: str) -> tuple[str, str]:
    """`early=vit@a.pt` -> its label and the spec; "" where it has none.

    A label holds none of ( @ : / \\ =, so that no argument or path is taken for one. Raises
    InputError for a label, or behind one a spec, that is empty.
    """
    end = next((place for place, char in enumerate(text) if char in "=(@:/\\"), len(text))
    if text[end : end + 1] != "=":
        return "", text
    label, spec = text[:end].strip(), text[end + 1 :].strip()
    if not label or not spec:
        raise InputError(f"model {text!r} is no LABEL=SPEC: write it as in early=vit@early.pt")
    return label, spec


def split_specs(text: str) -> list[str]:
    """A list of specs with commas between them; those within a spec's arguments do not part it."""
    parts, start = [], 0
    while True:
        end = text.find(",", _arguments_end(text, start, "(@,"))
        if end < 0:
            return [*parts, text[start:].strip()]
        parts.append(text[start:end].strip())
        start = end + 1


def expand_files(text: str) -> list[str]:
    """A spec, with or without a label, whose file has `*`, `?` or `[...]` in its name: one for each
    file, numbers in their names in their order (`vit@runs/epoch-*.pt`). Any other spec is alone.

    A file of the very name is itself. Raises InputError where no file matches, and for a label of
    several files.
    """
    label, spec = split_label(text)
    place = _arguments_end(spec, 0, "(@")
    if spec[place : place + 1] != "@":
        return [text]
    weights, key = split_key(spec[place + 1 :])
    pattern = os.path.expanduser(weights)
    if not re.search(r"[*?\[]", weights) or os.path.exists(pattern):
        return [text]
    found = sorted(filter(os.path.isfile, glob(pattern)), key=_natural)
    if not found:
        raise InputError(f"no file matches {weights!r}")
    if label and len(found) > 1:
        raise InputError(f"{label!r} would be the label of {len(found)} files: leave it out")
    before = f"{label}={spec[:place]}" if label else spec[:place]
    after = f"#{key}" if key else ""
    return [f"{before}@{file}{after}" for file in found]


def _natural(text: str) -> list:
    """epoch-2 before epoch-10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text)]


def split_key(weights: str) -> tuple[str, str]:
    """`FILE#KEY` -> file and key; "" where there is no `#`, or it belongs to the file's name."""
    path, hash_, key = weights.rpartition("#")
    if not hash_ or os.path.exists(os.path.expanduser(weights)):
        return weights, ""
    return path, key


def _arguments_end(text: str, start: int, stops: str) -> int:
    """Where the name (up to one of `stops`) and arguments of the spec at `start` end."""
    here = start
    while here < len(text) and text[here] not in stops:
        here += 1
    if text[here : here + 1] != "(":
        return here
    depth, quote = 0, ""
    for place in range(here, len(text)):
        char = text[place]
        if quote:
            quote = "" if char == quote and text[place - 1] != "\\" else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if not depth:
                return place + 1
    raise InputError(f"model spec {text[start:]!r}: a bracket or quote is not closed")


def _literals(text: str, name: str, given: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({given})", mode="eval").body
        if isinstance(call, ast.Call) and not call.args:
            values = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
            if None not in values:  # the name of `**values`
                return values
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        pass
    raise InputError(
        f"model spec {text!r}: arguments are written ARG=VALUE with plain values, as in "
        f"{name}(img_size=32,global_pool='avg')"
    )
