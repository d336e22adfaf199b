"""What commands print at terminals of all widths: no line is longer, and no number is cut."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_study import FakeTrain, write
from rich.cells import cell_len

import vitprobe
from vitprobe.analyses.compare_training import compare_training
from vitprobe.cli import (
    _attention_summary,
    _cka_summary,
    _compare_training_summary,
    _head_subsets_summary,
    _train_summary,
)
from vitprobe.training import train
from vitprobe.training.report import Report

WIDTHS = (30, 40, 60, 80, 200)
FEW = {"examples": 12, "batch_size": 6, "device": "cpu"}
PATHS = [Path("results/x.nc")]


@pytest.fixture
def shown(monkeypatch, capsys):
    """shown(width, function): the words that it prints, each as often as it occurs.

    No line is wider, unless it is one word, or a command to be copied.
    """

    def show(width, function, *arguments) -> Counter:
        monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        function(*arguments)
        out = capsys.readouterr().out
        for line in out.splitlines():
            copied = len(line.split()) == 1 or line.startswith("use ")
            assert copied or cell_len(line.rstrip()) <= width, line
        return Counter(out.split())

    return show


def holds(words: Counter, numbers, form: str) -> None:
    """Every number is there, whole, as often as it is in the result."""
    expected = Counter(form.format(value) for value in np.ravel(numbers))
    assert not expected - words, expected - words


@pytest.fixture(scope="module")
def cka():
    return vitprobe.cka("vit@digits", "resnet20@digits", layers="blocks", **FEW)


@pytest.fixture(scope="module")
def attention():
    return vitprobe.attention("vit@digits", **FEW)


@pytest.fixture(scope="module")
def heads():
    return vitprobe.head_subsets("vit@digits", "resnet20@digits", layers="blocks", **FEW)


@pytest.mark.parametrize("width", WIDTHS)
def test_cka(shown, cka, width):
    words = shown(width, _cka_summary.print_summary, [cka], PATHS)
    found = vitprobe.match_layers(cka)
    for name in ("cka_a", "low_a", "high_a"):
        holds(words, found[name].values, "{:.3f}")


@pytest.mark.parametrize("width", WIDTHS)
def test_attention(shown, attention, width):
    words = shown(width, _attention_summary.print_summary, [attention], PATHS)
    distance = attention["distance"].values
    for numbers in (distance.min(1), distance.mean(1), distance.max(1)):
        holds(words, numbers, "{:.2f}")
    holds(words, attention["entropy"].values.mean(1), "{:.3f}")


@pytest.mark.parametrize("width", WIDTHS)
def test_head_subsets(shown, heads, width):
    words = shown(width, _head_subsets_summary.print_summary, [heads], PATHS)
    holds(words, heads["distance"].values, "{:.2f}")
    holds(words, heads["cka"].values[:, 0], "{:.3f}")


@pytest.mark.parametrize("width", WIDTHS)
def test_compare_training(shown, tmp_path, width):
    result = compare_training(write(tmp_path), train=FakeTrain(), output=tmp_path)
    words = shown(width, _compare_training_summary.print_summary, result, PATHS)
    holds(words, 100 * result["accuracy"].mean("seed").values, "{:.1f}")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    small = {"dim": 16, "depth": 1, "heads": 2, "mlp_dim": 32, "patch_size": 8}
    options = {"model": "vit", "fraction": 0.05, "epochs": 1, "device": "cpu", **small}
    return train("scratch", output=str(tmp_path_factory.mktemp("trained")), **options)


@pytest.mark.parametrize("width", WIDTHS)
def test_train(shown, trained, width):
    row = {name: values[0] for name, values in trained.history.items()}
    words = shown(width, _epoch, row, width)
    for key in ("train_loss", "val_loss", "test_loss"):
        holds(words, row[key], "{:.4f}")
    words = shown(width, _train_summary.print_summary, trained)
    assert words[f"{trained.test_accuracy:.1%}"] and words[trained.spec]


def _epoch(row, width):
    Report(True, width).epoch(row, 1)


@pytest.mark.parametrize("width", WIDTHS)
def test_layers_and_info(shown, vitprobe_command, width):
    def run(*words):
        print(vitprobe_command(*words).out)

    words = shown(width, run, "layers", "resnet20")
    assert words["16x32x32"] > 20 and words["81"] and words["61"]
    words = shown(width, run, "info")
    assert words["vitprobe"] and words[f"{vitprobe.__version__},"]
