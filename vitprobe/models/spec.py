"""The model spec `NAME[@WEIGHTS]`, taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vitprobe.errors import InputError

RANDOM = "random"
PRETRAINED = "pretrained"
DIGITS = "digits"
SHIPPED = ("vit", "resnet20")  # trained on digits by tools/make_digits_weights.py
WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Spec:
    """`NAME[@WEIGHTS]`: what to build and where its weights come from.

    name: a model's name, before it is looked up.
    weights: `random`, `pretrained`, `digits` (ships with vitprobe), or a file's path as given.
    """

    name: str
    weights: str = RANDOM

    @property
    def path(self) -> Path | None:
        """The checkpoint's file, or None for `random` and `pretrained`.

        Raises InputError for `digits` of a name whose weights do not ship.
        """
        if self.weights in (RANDOM, PRETRAINED):
            return None
        if self.weights != DIGITS:
            return Path(self.weights).expanduser()
        if self.name not in SHIPPED:
            shipped = " and ".join(f"{name}@{DIGITS}" for name in SHIPPED)
            raise InputError(
                f"no weights {self.name}@{DIGITS} ship with vitprobe: there are {shipped} "
                f"(a file of that name is {self.name}@./{DIGITS})"
            )
        return WEIGHTS / f"{self.name}-{DIGITS}.safetensors"


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
