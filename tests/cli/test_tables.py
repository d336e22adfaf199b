"""Tables at a narrow terminal: names stay distinct, and no number is ever cut."""

import re

import pytest
import xarray as xr
from rich.cells import cell_len

import vitprobe
from vitprobe.cli._summary import new_console
from vitprobe.cli._table import Column, print_table

MODEL = """
import torch
from torch import nn


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.a_token_mixing_projection = nn.Linear(16, 16)
        self.another_channel_projection = nn.Linear(16, 16)

    def forward(self, x):
        return x + self.another_channel_projection(self.a_token_mixing_projection(x).relu())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.the_patch_embedding = nn.Conv2d(3, 16, 8, 8)
        self.a_hierarchical_encoder = nn.ModuleDict(
            {"all_of_the_mixing_layers": nn.ModuleList(Mixer() for _ in range(12))}
        )

    def forward(self, x):
        x = self.the_patch_embedding(x).flatten(2).transpose(1, 2)
        for layer in self.a_hierarchical_encoder["all_of_the_mixing_layers"]:
            x = layer(x)
        return x.mean(1)
"""
NUMBER = re.compile(r"-?\d+\.\d{3}")


@pytest.fixture
def long_names(tmp_path, monkeypatch, vitprobe_command):
    """Run a command on a model of very long names, at a terminal of a width."""
    (tmp_path / "a_module_of_long_names.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)

    def run(width, *words):
        monkeypatch.setenv("COLUMNS", str(width))
        ended = vitprobe_command(*words)
        assert ended.code == 0, ended.err
        return ended.out.splitlines()

    return run


@pytest.mark.parametrize("width", [60, 80])
def test_cka_of_long_names(long_names, tmp_path, width):
    model = "a_module_of_long_names:Net"
    lines = long_names(
        width,
        *("cka", "--models", f"{model},resnet20", "--layers", "blocks"),
        *("--examples", 32, "--batch-size", 16, "--device", "cpu"),
    )
    start = next(i for i, line in enumerate(lines) if line.startswith("layer "))
    first = next(i for i in range(start, len(lines)) if " to " in lines[i])  # the header may wrap
    rows = [line.split() for line in lines[first : first + 13]]
    assert all(len(line.rstrip()) <= width for line in lines[start : first + 13])
    (path,) = (tmp_path / "results").glob("cka-a_module*-resnet20-*.nc")
    result = vitprobe.match_layers(xr.load_dataset(path, engine="h5netcdf"))
    assert len(rows) == len({row[0] for row in rows}) == 13  # twelve blocks and the output
    for i, row in enumerate(rows):
        number = re.search(r"\d+$", str(result["layer_a"].values[i]))
        assert number is None or re.search(r"\d+$", row[0])[0] == number[0]
        names = ("cka_a", "low_a", "high_a")
        value, low, high = (f"{result[name].values[i]:.3f}" for name in names)
        assert row[2:6] == [value, low, "to", high]


def test_layers_of_long_names(long_names):
    lines = long_names(80, "layers", "a_module_of_long_names:Net")
    found = {}
    for line in lines[1:]:
        name, *rest = line.split()
        if re.fullmatch(r"\d+(x\d+)*", rest[1] if len(rest) > 1 else ""):
            found[name] = rest
    assert len(found) == 1 + 12 * 3 + 1  # none became another's name
    assert all(rest[1] in ("16x4x4", "16x16", "16") for rest in found.values())


@pytest.mark.parametrize("width", [60, 80])
def test_attention_at_a_narrow_terminal(long_names, width):
    lines = long_names(width, "attention", "--models", "vit@digits", "--examples", 16)
    start = next(i for i, line in enumerate(lines) if line.startswith("layer "))
    for i, line in enumerate(lines[start + 1 : start + 7]):
        name, heads, *numbers = line.split()
        assert name.endswith(f"{i}.attn") and heads == "4" and len(line.rstrip()) <= width
        assert [bool(re.fullmatch(r"\d+\.\d{2,3}", text)) for text in numbers] == [True] * 6


def test_head_subsets_shows_the_layers_that_there_is_room_for(long_names, tmp_path):
    words = ("head-subsets", "--models", "vit@digits,resnet20@digits", "--examples", 48)
    lines = long_names(60, *words, "--layers", "layer?.*.conv1")
    heading = next(line for line in lines if line.startswith("heads  distance"))
    first = next(i for i, line in enumerate(lines) if line.startswith("heads of"))
    title = " ".join(lines[first : lines.index(heading)])
    names = heading.split()[2:]
    assert f"({len(names)} of 9 layers; all in the .nc)" in title
    assert 2 <= len(names) < 9 and len(set(names)) == len(names)
    row = lines[lines.index(heading) + 1].split()
    assert len(row) == 2 + len(names) and all(NUMBER.fullmatch(text) for text in row[2:])


def shown(capsys, width, columns):
    console = new_console()
    console.width = width
    print_table(console, "a title", columns)
    assert console.width == width
    return capsys.readouterr().out.splitlines()


def test_sentences_are_broken_and_numbers_are_not(capsys):
    text = "left out: never fires: unused, or its parent uses its weights without calling it"
    columns = [
        Column("layer", ["encoder.layers.0.a", "encoder.layers.1.a"], "name"),
        Column("shape", ["768x14x14", "3x224x224"]),
        Column("remark", [text, ""], "text"),
    ]
    lines = shown(capsys, 50, columns)
    assert lines[0] == "a title" and max(map(cell_len, lines)) <= 50
    words = " ".join(lines).split()
    assert {*text.split(), "768x14x14", "3x224x224"} <= set(words)


def test_a_terminal_without_room_for_the_numbers(capsys):
    numbers = [Column(f"number{i}", ["1234.567"]) for i in range(6)]
    lines = shown(capsys, 20, [Column("layer", ["a_very_long_name_indeed"], "name"), *numbers])
    assert max(map(cell_len, lines)) <= 20
    rows = [line.split() for line in lines if "…indeed" in line]
    assert rows == [["…indeed", "1234.567"]] * 6
    headings = [line.split() for line in lines if line.startswith("layer")]
    assert headings == [["layer", f"number{i}"] for i in range(6)]


def test_a_terminal_without_room_for_one_number(capsys):
    columns = [Column("layer", ["some_name"], "name"), Column("number", ["12345678.123456789"])]
    lines = shown(capsys, 20, columns)
    assert lines[2].split() == ["some_name", "12345678.123456789"]


def test_a_file_is_as_wide_as_its_names(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    name = "x" * 120
    print_table(new_console(), "", [Column("layer", [name], "name"), Column("CKA", ["0.123"])])
    assert capsys.readouterr().out.splitlines()[1].split() == [name, "0.123"]
