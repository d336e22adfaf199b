"""The command in this process: what it printed and how it ended."""

import sys
from importlib import import_module
from typing import NamedTuple

import pytest

from vitprobe.cli import main
from vitprobe.figures import style


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


@pytest.fixture
def draw_nothing(monkeypatch):
    """draw_nothing("cka", ...): where figures are not what a test is about, an empty one stands for
    all of these commands."""

    def nothing(*names):
        blank = style.new_figure()
        blank.set_size_inches(1, 1)
        for name in names:
            module = import_module(f"vitprobe.cli._{name}_summary")
            for function in ("plot", "compare"):
                if hasattr(module, function):
                    monkeypatch.setattr(module, function, lambda *results, **how: blank)
        return blank

    return nothing
