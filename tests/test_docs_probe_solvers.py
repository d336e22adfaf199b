"""The numbers of docs/probe-solvers.md are those that its code gives."""

import re
from pathlib import Path

import pytest
from sklearn.datasets import load_digits

import vitprobe

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "probe-solvers.md").read_text()


@pytest.fixture(scope="module")
def given():
    x, y = load_digits(return_X_y=True)
    return x[:1000], y[:1000], x[1000:], y[1000:]


def test_its_code_says_what_it_shows(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    line = r"^(vitprobe\.probe_features\(\*given,.*\)) +# (\.\d+) \+- (\.\d+)$"
    shown = re.findall(line, code, re.MULTILINE)
    assert len(shown) == 3
    names = {}
    exec(re.sub(line, "", code, flags=re.MULTILINE), names)
    assert "ProbeResult(accuracy=0.9008" in capsys.readouterr().out
    for call, accuracy, error in shown:
        found = eval(call, names)
        assert found.accuracy == pytest.approx(float(accuracy), abs=6e-4)
        assert found.accuracy_se == pytest.approx(float(error), abs=6e-4)


def test_its_table_of_shots(given):
    shots = [int(n) for n in re.search(r"\| l2 \| 1 shot \|(.*)\|", PAGE)[1].split("|")]
    for l2, row in re.findall(r"^\| (2\^-?10|1) \|(.*)\|$", PAGE, re.MULTILINE):
        penalty = 2.0 ** int(l2[2:]) if "^" in l2 else 1.0
        for number, shown in zip([1, *shots], row.split("|"), strict=True):
            found = vitprobe.probe_features(
                *given, shots=number, draws=3, convention="big_vision", l2=penalty
            )
            assert found.accuracy == pytest.approx(float(shown), abs=6e-4)
