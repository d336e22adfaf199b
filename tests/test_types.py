"""What type checkers and editors see of vitprobe is what is there."""

import ast
import inspect
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import vitprobe
from vitprobe.analyses.study_run import LookOptions
from vitprobe.input_options import ImageOptions, InputOptions, PictureOptions, StoredOptions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
TYPED = (ImageOptions, PictureOptions, StoredOptions, LookOptions)
FACE = ast.parse((ROOT / "vitprobe" / "__init__.pyi").read_text())


def test_the_typed_face_has_the_names_that_are_loaded():
    imports = [node for node in FACE.body if isinstance(node, ast.ImportFrom)]
    names = {alias.asname: node.module for node in imports for alias in node.names}
    assert names == vitprobe._HOMES
    assert all(alias.name == alias.asname for node in imports for alias in node.names)


@pytest.mark.parametrize("options", TYPED)
def test_options_have_the_types_of_input_options(options):
    typed, every = get_type_hints(options), get_type_hints(InputOptions)
    assert typed == {name: every[name] for name in typed}
    assert options is not ImageOptions or typed.keys() == every.keys()


def test_the_options_that_are_typed_are_those_that_are_taken():
    kinds = {
        each.__name__: each for each in (ImageOptions, PictureOptions, StoredOptions, LookOptions)
    }
    found = set()
    for name in vitprobe.__all__:
        function = getattr(vitprobe, name)
        written = inspect.unwrap(function)
        spread = getattr(written, "__annotations__", {}).get("inputs")
        if spread is not None:
            (kind,) = (each for each in kinds if each in str(spread))
            own = inspect.signature(written).parameters.keys()
            taken = inspect.signature(function).parameters.keys() - own
            assert taken == kinds[kind].__annotations__.keys(), name
            found.add(kind)
    assert found == kinds.keys()


def test_what_is_called_is_checked():
    """mypy's list has the file of every public function."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["files"]
    checked = {path for name in listed for path in ROOT.glob(name)}
    for name in vitprobe.__all__:
        thing = getattr(vitprobe, name)
        path = ROOT / f"{thing.__module__.replace('.', '/')}.py"
        wanted = not inspect.isclass(thing) or name == "Reader"
        assert not wanted or checked & {path, *path.parents}, path
