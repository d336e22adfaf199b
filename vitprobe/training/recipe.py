"""Recipes: how a model is optimised and its images are varied, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitprobe.errors import InputError, did_you_mean
from vitprobe.files import expanded
from vitprobe.text import shown
from vitprobe.training.toml import read_toml, toml_text

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
        return _read(expanded(name, "recipe"))
    ways = f": use one of {', '.join(sorted(shipped))}, or the path of a .toml file"
    raise InputError(f"unknown recipe {name!r}{did_you_mean(name, shipped) or ways}")


def _read(path: Path) -> Recipe:
    text = toml_text(path)
    values = {key.replace("-", "_"): value for key, value in read_toml(path, text).items()}
    about, augment = values.pop("about", ""), values.pop("augment", {})
    if not isinstance(about, str):
        raise InputError(f"recipe {path}: about is a text, got {shown(about)}")
    return Recipe(path.stem, about, text, values, augment)
