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
