"""Only regular files are opened, and text of files is shown without doing anything."""

import os
import socket
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitprobe.errors import InputError
from vitprobe.files import expanded, open_file, regular_file
from vitprobe.text import UNSEEN, printable


def test_a_file_and_a_link_to_one(tmp_path):
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for name in ("a", "b"):
        with open_file(tmp_path / name, "file") as file:
            assert file.read() == b"text"
        assert regular_file(tmp_path / name, "file", most=4) == tmp_path / name
    with pytest.raises(InputError, match="has 4 bytes, more than the 3 that are read"):
        open_file(tmp_path / "a", "file", most=3)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    for path, words in {
        tmp_path / "pipe": "is a pipe: name a file",
        tmp_path: "is a folder",
        "/dev/zero": "is a device",
        tmp_path / "socket": "cannot read|is a socket",
        tmp_path / "none": "no checkpoint .*none: check the path",
        tmp_path / ("a" * 5000): "cannot read checkpoint",
    }.items():
        with pytest.raises(InputError, match=words) as caught:
            open_file(path, "checkpoint")
        assert "\n" not in str(caught.value)
    listening.close()


@pytest.mark.parametrize("path", ["", "  ", "a\0b", "~nosuchuser/w.pt"])
def test_what_is_no_path(path):
    with pytest.raises(InputError, match="--output .*(is no path|no such user)"):
        expanded(path, "--output")


def test_a_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/x", "file") == tmp_path / "x"


def test_control_characters_are_escaped():
    title = "a\x1b]0;owned\x07b\nc\r\u202ed\u2028e\ud800"
    assert printable(title) == r"a\x1b]0;owned\x07b\nc\r\u202ed\u2028e\ud800"
    assert printable("Größe 図 é") == "Größe 図 é"
    assert len(printable("x" * 1000)) == 299 and "..." in printable("x" * 1000)


@given(st.text())
def test_what_is_printed_is_one_line_of_seen_characters(text):
    shown = printable(text)
    assert not any(unicodedata.category(char) in UNSEEN for char in shown)
    assert len(shown.splitlines()) <= 1
    assert shown.encode().decode() == shown
