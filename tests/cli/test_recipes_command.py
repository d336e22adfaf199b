"""`vitprobe recipes`: what it prints can be used."""

import sys

import pytest

from vitprobe.training import recipes
from vitprobe.training.recipe import FOLDER
from vitprobe.training.resolve import resolve

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAMES = {"adam-plain", "adamw-augmented", "sgd-cosine", "deit", "vit-gap"}


def test_all_are_the_tables_of_one_document(vitprobe_command):
    ended = vitprobe_command("recipes")
    assert ended.code == 0, ended.err
    printed = tomllib.loads(ended.out)
    assert list(printed) == [recipe.name for recipe in recipes()] and {*printed} >= NAMES
    for recipe in recipes():
        assert printed[recipe.name] == tomllib.loads(recipe.text)
    assert "vitprobe train MODE --recipe NAME" in ended.out


@pytest.mark.parametrize("name", sorted(recipe.name for recipe in recipes()))
def test_one_is_a_file_of_ones_own(vitprobe_command, tmp_path, name):
    own = tmp_path / "own.toml"
    own.write_text(vitprobe_command("recipes", name).out)
    ours, theirs = (resolve("scratch", {"recipe": recipe}) for recipe in (str(own), name))
    same = {"recipe": name, "model_name": theirs.model_name}
    assert ours.as_dict() | same == theirs.as_dict()


def test_a_shell_writes_the_file_as_it_is(vitprobe_run, tmp_path):
    """The bytes that a pipe gets are the recipe's; a tab in a file of one's own is one."""
    own = tmp_path / "own.toml"
    own.write_text('about = "a\ttab, é"\n\nlr = 0.5\n')
    for name in ("digits", str(own)):
        written = tmp_path / "written.toml"
        written.unlink(missing_ok=True)
        assert vitprobe_run("recipes", name, cwd=tmp_path, stdout=written).code == 0
        written = written.read_bytes()
        expected = own if name == str(own) else FOLDER / f"{name}.toml"
        assert written == expected.read_bytes()


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
def test_every_recipe_says_all(recipe):
    settings = resolve("scratch", {"recipe": recipe.name, "model": "resnet18"})
    assert recipe.about and settings.lr > 0 and settings.augment == recipe.augment


def test_an_unknown_one(vitprobe_command):
    ended = vitprobe_command("recipes", "diet")
    assert ended.code == 2
    assert "unknown recipe 'diet'; did you mean" in ended.err and "'deit'" in ended.err


def test_what_a_terminal_would_obey_is_escaped_and_still_toml(vitprobe_command, tmp_path):
    own = tmp_path / "own.toml"
    own.write_bytes('about = "\u202ea"  # \u2028lr = 9\r\nlr\t= 0.5\r\n'.encode())
    printed = vitprobe_command("recipes", own).out
    assert printed == 'about = "\\u202ea"  # \\u2028lr = 9\nlr\t= 0.5\n'
    assert tomllib.loads(printed) == tomllib.loads(own.read_text())
