"""What the README shows works as shown."""

import re
from pathlib import Path

import matplotlib.figure
import pytest

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


def test_the_costs_that_are_said_are_those_of_the_table():
    """`1.7 times as long as their forward passes`: of the table's medians, as is the memory."""
    forward, _, own = _medians("Time: CKA of every module of ResNet-18 x ViT-tiny")[:3]
    said = re.search(r"takes ([\d.]+) times as long as their forward passes alone", _TEXT)
    assert float(said[1]) == round(own / forward, 1)
    _, _, above = _medians("Peak memory: CKA of every module")[:3]
    assert float(re.search(r"alone and (\d+) MB more", _TEXT)[1]) == round(above)
    forward, own = _medians("vitprobe.attention of ViT-tiny")[:2]
    assert float(re.search(r"ViT-tiny ([\d.]+) times as long", _TEXT)[1]) == round(own / forward, 1)


def test_the_cost_of_a_training_step_is_that_of_the_table():
    rows = re.search(r"\| Time: a training step.*?\n\n", README, re.DOTALL)[0].splitlines()[2:]
    ratios = [float(row.split("|")[4].split()[0]) for row in rows if row]
    said = re.search(r"a step takes ([\d.]+) to ([\d.]+) times as long as in a bare loop", _TEXT)
    assert [float(number) for number in said.groups()] == [min(ratios), max(ratios)]


_TEXT = " ".join(README.split())


def _medians(title):
    """The medians in the first row of the table whose head has the title in it."""
    (table,) = re.findall(rf"^\|[^|\n]*{re.escape(title)}.*?\n\n", README, re.DOTALL | re.MULTILINE)
    cells = table.splitlines()[2].split("|")[2:]
    return [float(cell.split()[0].replace(",", "")) for cell in cells if "(" in cell]
