"""tools/architectures.py really runs the analyses, and its page says what became of each."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import vitprobe
from vitprobe.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architectures.md"


@pytest.fixture(scope="module")
def tool():
    path = ROOT / "tools" / "architectures.py"
    spec = importlib.util.spec_from_file_location("architectures", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(text, name):
    (line,) = re.findall(rf"^\| `{re.escape(name)}` \| (.*) \|$", text, re.MULTILINE)
    return line.split(" | ")


def test_two_architectures_and_two_analyses(tool, tmp_path, capsys):
    page = tmp_path / "page.md"
    cells = tool.main(
        ["--only", "vit,resnet20", "--analyses", "maps,features", "--output", str(page)]
    )
    states = {key: cell.state for key, cell in cells.items()}
    assert states == {
        ("vit", "maps"): "ran",
        ("vit", "features"): "ran",
        ("resnet20", "maps"): "refused",
        ("resnet20", "features"): "ran",
    }
    text = page.read_text()
    assert row(text, "resnet20")[:2] == ["32", "(1)"]
    assert row(text, "vit")[1].startswith("✓")
    assert "- (1) the model has no attention" in text and "1 of 2 | 2 of 2" in text
    assert "fails" not in text
    assert "resnet20, maps: refused after" in capsys.readouterr().out


def test_every_analysis_of_two_architectures_runs_or_says_why_not(tool, tmp_path):
    cells = tool.main(["--only", "vit,resnet20", "--output", str(tmp_path / "page.md")])
    assert {state for cell in cells.values() if (state := cell.state)} <= {"ran", "refused"}


def test_what_an_analysis_does_is_told(tool, monkeypatch):
    def refuses(f, models, images):
        raise InputError("mine has none")

    def breaks(f, models, images):
        raise KeyError("a\nb")

    def lasts(f, models, images):
        while True:
            pass

    def blank(f, models, images):
        result = vitprobe.features(models, images)
        return result.where(False)[["channel_mean"]]

    calls = {"refuses": refuses, "breaks": breaks, "lasts": lasts, "blank": blank}
    monkeypatch.setattr(tool, "ANALYSES", {name: ("cka", call) for name, call in calls.items()})
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    told = {
        name: tool.run(name, "mine", model, torch.randn(1, 3, 8, 8), 0.3 if name == "lasts" else 60)
        for name in calls
    }
    assert (told["refuses"].state, told["refuses"].reason) == ("refused", "the model has none")
    assert told["breaks"].state == told["lasts"].state == told["blank"].state == "failed"
    assert told["breaks"].reason.startswith("KeyError: 'a")
    assert told["lasts"].reason == "stopped after 0.3 s"
    assert "no value that is a number" in told["blank"].reason


def test_reasons_that_differ_in_names_and_numbers_are_one(tool):
    reasons = tool.Reasons()
    given = ["no map at blocks.0.attn: 4 of 49", "none", "no map at layers.3.x: 64 of 4"]
    assert [reasons.number(text) for text in given] == [1, 2, 1]
    assert list(reasons) == given[:2]


def test_every_analysis_that_reads_a_pass_has_a_call(tool):
    called = {name.replace("-", "_") for name in tool.ANALYSES}
    assert not called & tool.NO_COLUMN and tool.readers() == called - {"maps", "features"} | (
        tool.NO_COLUMN
    )


def test_an_analysis_that_is_not_there_is_left_out(tool, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(tool, "ANALYSES", {"newest": ("not_there_yet", None)})
    tool.main(["--only", "vit", "--output", str(tmp_path / "page.md")])
    assert "newest: vitprobe" in capsys.readouterr().out
    assert "newest" not in (tmp_path / "page.md").read_text()


def test_the_page_has_every_architecture_and_no_failure(tool):
    text = PAGE.read_text()
    assert re.findall(r"^\| `(.*?)` \|", text, re.MULTILINE) == list(tool.ARCHITECTURES)
    for page in (PAGE, ROOT / "README.md", ROOT / "CHANGELOG.md"):
        said = re.findall(r"(\d+)\s+\[?architectures", page.read_text())
        assert said and set(map(int, said)) == {len(tool.ARCHITECTURES)}, page.name
    assert "fails" not in text
