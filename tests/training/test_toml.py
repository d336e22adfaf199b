"""TOML: tables and values, or one line that names the file."""

import os

import pytest

from vitprobe.errors import InputError
from vitprobe.training.recipe import find_recipe
from vitprobe.training.study import read_study
from vitprobe.training.toml import MOST, read_toml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = ", "is not TOML"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "9" * 5001, "is not TOML"),
        ("a = 1979-02-31", "is not TOML"),
        ("a = '\x00'", "is not TOML"),
        ("a = 1\na = 2", "is not TOML"),
        ("\x1b[2J", "is not TOML"),
        ("# " + "x" * MOST, "more than the 1,048,576 that are read"),
    ],
    ids=["no value", "deep", "digits", "no date", "NUL", "twice", "escape", "large"],
)
def test_what_is_no_toml_is_one_line(tmp_path, text, said):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_toml(tmp_path / "a.toml")
    assert "a.toml" in str(caught.value) and "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("read", [read_toml, read_study, find_recipe])
def test_only_regular_files_are_read(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "bytes.toml").write_bytes(b"a = '\xff'")
    for name, said in {
        "pipe": "is a pipe",
        "zero": "is a device",
        "folder": "is a folder",
        "bytes": "is not TOML",
        "none": "no TOML file",
    }.items():
        with pytest.raises(InputError, match=said):
            read(str(tmp_path / f"{name}.toml"))
    for path in ("~nosuchuser/a.toml", "a\0.toml"):
        with pytest.raises(InputError, match="no such user|is no path"):
            read(path)
