"""The command in this process: what it printed and how it ended."""

import sys
from typing import NamedTuple

import pytest
from undrawn import undraw

from vitprobe.cli import main


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def vitprobe_command(request, monkeypatch, capsys, tmp_path):
    """run("cka", "--models", ...) -> Ended; in an empty folder, so that files land there. Figures
    are empty, unless the test is marked `drawn`."""
    if request.node.get_closest_marker("drawn") is None:
        undraw(monkeypatch.setattr)
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
