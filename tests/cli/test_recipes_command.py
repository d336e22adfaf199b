"""`vitprobe recipes`: what it prints can be used."""

import sys

import pytest

from vitprobe.training import recipes
from vitprobe.training.resolve import resolve

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAMES = {"adam-plain", "adamw-augmented", "sgd-cosine", "deit", "vit-gap"}


def test_all_are_printed(vitprobe_command):
    ended = vitprobe_command("recipes")
    assert ended.code == 0, ended.err
    for recipe in recipes():
        assert f"\n{recipe.name}\n" in f"\n{ended.out}" and recipe.text in ended.out
    assert {recipe.name for recipe in recipes()} >= NAMES


def test_one_is_a_file_of_ones_own(vitprobe_command, tmp_path):
    ended = vitprobe_command("recipes", "deit")
    own = tmp_path / "own.toml"
    own.write_text(ended.out.partition("\n")[2])
    assert tomllib.loads(own.read_text())["augment"]["mixup"] == 0.8
    ours, theirs = (resolve("scratch", {"recipe": name}) for name in (str(own), "deit"))
    assert ours.as_dict() | {"recipe": "deit"} == theirs.as_dict()


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
def test_every_recipe_says_all(recipe):
    settings = resolve("scratch", {"recipe": recipe.name, "model": "resnet18"})
    assert recipe.about and settings.lr > 0 and settings.augment == recipe.augment


def test_an_unknown_one(vitprobe_command):
    ended = vitprobe_command("recipes", "diet")
    assert ended.code == 2
    assert "unknown recipe 'diet'; did you mean" in ended.err and "'deit'" in ended.err
