"""Recipes: how a model is optimised and its images are varied, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitprobe.errors import InputError, did_you_mean
from vitprobe.training.toml import read_toml

FOLDER = Path(__file__).with_name("recipes")


@dataclass(frozen=True)
class Recipe:
    """One recipe.

    name: of the file, without its ending. about: one line. text: the file, as it stands.
    values: options of `vitprobe train`, by their long names. augment: the table of that name.
    """

    name: str
    about: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)
    augment: dict[str, Any] = field(default_factory=dict)


def recipes() -> list[Recipe]:
    """All recipes that come with vitprobe, by name."""
    return [_read(path) for path in sorted(FOLDER.glob("*.toml"))]


def find_recipe(name: str) -> Recipe:
    """A recipe by its name, or the one in a `.toml` file of the user's.

    Raises:
        InputError: neither.
    """
    shipped = {path.stem: path for path in FOLDER.glob("*.toml")}
    if name in shipped:
        return _read(shipped[name])
    if name.endswith(".toml"):
        return _read(Path(name).expanduser())
    ways = f": use one of {', '.join(sorted(shipped))}, or the path of a .toml file"
    raise InputError(f"unknown recipe {name!r}{did_you_mean(name, shipped) or ways}")


def _read(path: Path) -> Recipe:
    values = {key.replace("-", "_"): value for key, value in read_toml(path).items()}
    about, augment = values.pop("about", ""), values.pop("augment", {})
    return Recipe(path.stem, str(about), path.read_text(encoding="utf-8"), values, augment)
