"""What the README shows works as shown, and what it says in numbers is so."""

import json
import re
import socket
import sys
from pathlib import Path

import matplotlib.figure
import pytest
import typer
import yaml

import vitprobe
from vitprobe.cli import app
from vitprobe.data.named import FROM_PATH, NAMES
from vitprobe.input_options import SAVE_EVERY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
RESULTS = sorted((ROOT / "bench" / "results").glob("*.json"))


@pytest.fixture(scope="module")
def trained():
    """The first command's comparison, of some rows; without a GPU, and without a network."""

    def refuse(*_):
        raise AssertionError("it asks for a network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        rows = ["blocks", "head", "blocks.*.attn.proj"]
        return vitprobe.cka(
            "vit@digits", "resnet20@digits", layers=rows, layers_b="all", device="cpu"
        )


def test_best_matches_of_the_trained_pair(trained):
    best, value = trained["cka"].idxmax("layer_b").to_series(), trained["cka"].max("layer_b")
    first, last = [f"blocks.{i}" for i in range(4)], ["blocks.4", "blocks.5", "head"]
    said = re.search(r"first convolution and its norm \(CKA ([^)]+)\)", _TEXT)
    assert value.sel(layer_a=first).values == pytest.approx(_numbers(said[1]), abs=0.006)
    assert set(best[first]) == {"conv1", "bn1"}
    said = re.search(
        r"its classifier like `([^`]+)`, in the ResNet's last stage \(([^)]+)\)", _TEXT
    )
    assert value.sel(layer_a=last).values == pytest.approx(_numbers(said[2]), abs=0.006)
    assert all(layer.startswith(f"{said[1]}.") for layer in best[last])
    ends = [name for name in trained["layer_a"].values if name.endswith("attn.proj")]
    said = re.search(r"with an `attn.proj` no layer of the ResNet reaches ([\d.]+\d)", _TEXT)
    assert len(ends) == 6 and value.sel(layer_a=ends).max() < float(said[1])


def test_its_last_block_is_like_late_layers_not_by_chance(trained):
    row, error = (trained[name].sel(layer_a="blocks.5") for name in ("cka", "cka_se"))
    early = row.sel(layer_b=["conv1", "bn1"]).idxmax().item()
    late = row.idxmax().item()
    both = row.sel(layer_b=late) - row.sel(layer_b=early)
    assert both > 3 * (error.sel(layer_b=late) + error.sel(layer_b=early))


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
def test_its_layers_are_as_many_as_is_said_and_attention_is_darkest():
    result = vitprobe.cka("vit@digits", "resnet20@digits", examples=32, batch_size=16)
    said = re.search(r"heatmap of (\d+) layers of a small trained ViT against (\d+) layers", _TEXT)
    assert result["cka"].shape == tuple(map(int, said.groups()))
    darkest = result["cka"].mean("layer_b").to_series().nsmallest(6).index
    assert all(".attn." in name for name in darkest), darkest


@pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")
def test_random_weights_are_like_the_first_convolution():
    result = vitprobe.cka("vit", "resnet20", layers="blocks", layers_b="all", examples=96)
    row = result["cka"].sel(layer_a=[f"blocks.{i}" for i in range(6)])
    said = re.search(r"most like the first convolution or its norm, at ([\d.]+\d)", _TEXT)
    assert row.max("layer_b").round(3).values.tolist() == 6 * [float(said[1])]
    assert set(row.idxmax("layer_b").values) <= {"conv1", "bn1"}


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
    assert len(ratios) == 5 and "([five settings on a CPU]" in _TEXT


def test_the_tables_are_those_of_the_measurements(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import readme_table

    assert readme_table.main(["--check"]) == 0, capsys.readouterr().out


def test_no_gpu_was_measured():
    """Where one was, the README has its tables, and no longer says that none was."""
    assert RESULTS and not any("sections" in json.loads(path.read_text()) for path in RESULTS)


def test_the_tour_takes_ten_minutes():
    """Its first command and its table; what it says of training is what the README's table says."""
    tour = (ROOT / "docs" / "tour.md").read_text()
    rows = re.findall(r"^\| (?:`(\w+)`|`cka`).* \| (\d+) s \| ([\d.]*)", tour, re.MULTILINE)
    first = int(re.search(r"^takes (\d+) s\.", tour, re.MULTILINE)[1])
    assert len(rows) == 3 and first <= 15, "the README: a quarter of a minute"
    assert first + sum(int(seconds) for _, seconds, _ in rows) <= 600
    for model, seconds, accuracy in rows[:2]:
        line = f"vitprobe train scratch --model {model} --dataset digits"
        assert f"| {line} | {seconds} s | {accuracy} |" in README


def test_data_sets_that_are_said():
    said = re.findall(r"`([^`]+)`", re.search(r"data sets \(([^)]*)\)", _TEXT)[1])
    assert sorted(name.partition(":")[0] for name in said) == sorted([*NAMES, *FROM_PATH])
    (help,) = (
        option.help
        for option in typer.main.get_command(app).commands["cka"].params
        if option.name == "dataset"
    )
    assert all(name in help for name in said), help


def test_sums_are_saved_as_often_as_is_said():
    assert float(re.search(r"every (\d+) s they are saved", _TEXT)[1]) == SAVE_EVERY


def test_what_it_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python, torch = re.search(r"Python (>= [\d.]+\d) and torch (>= [\d.]+\d)\.", _TEXT).groups()
    assert project["requires-python"] == python.replace(" ", "")
    assert f"torch{torch.replace(' ', '')}" in project["dependencies"]
    assert f"Licence: {project['license']}." in _TEXT


def test_what_is_cited_is_in_the_citation_file():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    numbers = {each["value"] for paper in cited for each in paper["identifiers"]}
    assert numbers == set(re.findall(r"arXiv:\d+\.\d+", README))
    authors = re.search(r"^> (.*?)\.", README, re.MULTILINE)[1].split(", ")
    assert authors == [f"{a['given-names']} {a['family-names']}" for a in cited[0]["authors"]]
    assert cited[0]["title"] in _TEXT.replace("> ", "")


_TEXT = " ".join(README.split())


def _numbers(text):
    return [float(number) for number in text.split(", ")]


def _medians(title):
    """The medians in the first row of the table whose head has the title in it."""
    (table,) = re.findall(rf"^\|[^|\n]*{re.escape(title)}.*?\n\n", README, re.DOTALL | re.MULTILINE)
    cells = table.splitlines()[2].split("|")[2:]
    return [float(cell.split()[0].replace(",", "")) for cell in cells if "(" in cell]
