"""The command in this process: what it printed and how it ended."""

import sys
from typing import NamedTuple

import pytest

from vitprobe.cli import main


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def vitprobe_command(monkeypatch, capsys, tmp_path):
    """run("cka", "--models", ...) -> Ended; in an empty folder, so that files land there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words) -> Ended:
        monkeypatch.setattr(sys, "argv", ["vitprobe", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return Ended(end.value.code or 0, out, err)

    return run
