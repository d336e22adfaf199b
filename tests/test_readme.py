"""What the README shows works as shown."""

import re
import shlex
from pathlib import Path

import matplotlib.figure
import pytest
import typer

from vitprobe.cli import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert (tmp_path / "cka.png").stat().st_size > 10_000
    assert names["within"].attrs["examples"] == 64
    assert "layer3.2" in capsys.readouterr().out
    assert isinstance(names["vitprobe"].plot(names["within"]), matplotlib.figure.Figure)


def test_the_commands_are_understood():
    """Every `vitprobe ...` line names a sub-command and options that exist."""
    group = typer.main.get_command(app)
    lines = re.findall(r"(?:^ {4}|&& )(vitprobe .*?)(?:\s{2,}#.*)?$", README, re.MULTILINE)
    assert len(lines) >= 5
    for line in lines:
        _, command, *words = shlex.split(line)
        parsed = group.commands[command].make_context(command, list(words))
        assert parsed.params is not None


def test_links_resolve():
    links = re.findall(r"\]\(((?!http)[^)#]+)\)|src=\"([^\"]+)\"", README)
    paths = [path for pair in links for path in pair if path]
    assert "docs/cka-vit-resnet20-digits.png" in paths
    for path in paths:
        assert (ROOT / path).is_file(), path
