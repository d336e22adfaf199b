"""The model spec `NAME[@WEIGHTS]`, taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vitprobe.errors import InputError

RANDOM = "random"
PRETRAINED = "pretrained"


@dataclass(frozen=True)
class Spec:
    """`NAME[@WEIGHTS]`: what to build and where its weights come from.

    name: a model's name, before it is looked up.
    weights: `random`, `pretrained`, or a file's path as given.
    """

    name: str
    weights: str = RANDOM

    @property
    def path(self) -> Path | None:
        """The checkpoint's file, or None for `random` and `pretrained`."""
        return None if self.weights in (RANDOM, PRETRAINED) else Path(self.weights).expanduser()


def parse_spec(text: str) -> Spec:
    """`NAME[@WEIGHTS]` -> Spec, split at the first `@` (a path may hold others).

    Raises InputError where the name or the weights are empty.
    """
    name, at, weights = text.strip().partition("@")
    if not name:
        raise InputError(f"model spec {text!r} has no name: write NAME or NAME@WEIGHTS, as in vit")
    if at and not weights:
        raise InputError(
            f"model spec {text!r} has nothing after '@': write {name}@random, {name}@pretrained "
            f"or {name}@FILE"
        )
    return Spec(name, weights or RANDOM)
