"""`vitprobe compare-training`: its files, its table, and wrong input in one line."""

import csv

import pytest
import xarray
from made_study import FakeTrain, write
from PIL import Image

import vitprobe.training
from vitprobe.errors import InputError
from vitprobe.training.diverged import Diverged


@pytest.fixture
def train(monkeypatch):
    fake = FakeTrain()
    monkeypatch.setattr(vitprobe.training, "train", fake, raising=False)
    return fake


def written(ended):
    return [line.split()[-1] for line in ended.out.splitlines() if line.startswith("wrote")]


@pytest.mark.drawn
def test_files_table_and_lines(vitprobe_command, tmp_path, train):
    train.fail["mine-resnet20-none-f10-s1"] = Diverged("the loss is nan at step 7")
    ended = vitprobe_command("compare-training", write(tmp_path))
    assert ended.code == 0, ended.err
    paths = [f"results/compare_training-mine{end}" for end in (".nc", ".csv", ".png")]
    assert written(ended) == paths
    lines = ended.err.splitlines()
    assert len(lines) == 20
    assert lines[0] == "1/20 small ViT, none, 10 %, seed 3: 37.0 %"
    assert "16/20 resnet20, none, 10 %, seed 1: the loss is nan at step 7" in lines
    rows = [line.split() for line in ended.out.splitlines()]
    assert ["small", "ViT", "none", "10", "%", "36.0", "35.0", "37.0", "2"] in rows
    reason = ["the", "loss", "is", "nan", "at", "step", "7"]
    assert ["resnet20", "none", "10", "%", "37.0", "37.0", "37.0", "1", *reason] in rows
    assert "chance is 10.0 %" in ended.out
    with xarray.open_dataset(paths[0], engine="h5netcdf") as read:
        assert read["accuracy"].shape == (2, 2, 2, 2)
    with open(paths[1], newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 8
    assert table[0]["model"] == "small ViT" and float(table[0]["mean"]) == pytest.approx(0.36)
    assert (table[4]["seeds"], table[4]["reason"]) == ("1", "the loss is nan at step 7")
    with Image.open(paths[2]) as image:
        assert min(image.size) > 300


def test_options(vitprobe_command, tmp_path, train):
    words = ("--config", write(tmp_path), "--dataset", "digits", "--data_dir", "d", "--epochs", "2")
    words += ("--seeds", "4,2", "--device", "cpu", "--output", "runs", "--results", "tables")
    words += ("--models", "resnet20", "--pretraining", "none")
    ended = vitprobe_command("compare-training", *words)
    assert ended.code == 0, ended.err
    assert all(path.startswith("tables/") for path in written(ended))
    names = [f"mine-resnet20-none-f{part}-s{seed}" for seed in (4, 2) for part in (10, 100)]
    assert [call["model_name"] for call in train.calls] == names
    for call in train.calls:
        assert (call["epochs"], call["data_dir"], call["device"]) == (2, "d", "cpu")
        assert call["output"] == "runs" and call["resume"] is True


def test_a_ready_study(vitprobe_command, train):
    words = ("--dataset", "digits", "--epochs", "2", "--seeds", "0")
    ended = vitprobe_command("compare-training", "data-size", *words)
    assert ended.code == 0, ended.err
    expected = [(name, part) for name in ("vit", "resnet18") for part in (0.03, 0.1, 0.3, 1.0)]
    assert [(call["model"], call["fraction"]) for call in train.calls] == expected
    assert train.calls[0]["model_name"] == "data-size-vit-none-f3-s0"


def test_the_whole_of_small_data(vitprobe_command, train):
    """All its data but the target are left out: they would have to be downloaded."""
    words = ("--dataset", "digits", "--epochs", "2", "--pretraining", "none")
    ended = vitprobe_command("compare-training", "small-data", *words)
    assert ended.code == 0, ended.err
    assert len(train.calls) == 12 and {call["mode"] for call in train.calls} == {"scratch"}


def test_interrupted(vitprobe_command, tmp_path, train):
    train.fail["mine-small_vit-none-f100-s3"] = KeyboardInterrupt()
    ended = vitprobe_command("compare-training", write(tmp_path))
    assert ended.code == 130 and not (tmp_path / "results").exists()
    assert "interrupted; what is trained so far is in checkpoints" in ended.err.splitlines()[-1]


def test_an_error_that_all_runs_meet(vitprobe_command, tmp_path, train):
    train.fail["mine-small_vit-none-f10-s3"] = InputError("cannot write: no space left")
    ended = vitprobe_command("compare-training", write(tmp_path))
    assert ended.code == 2 and len(train.calls) == 1
    assert ended.err == ("vitprobe: run mine-small_vit-none-f10-s3: cannot write: no space left\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "small-data, or a TOML file of your own"),
        (("data-size", "--config", "x.toml"), "two studies, 'data-size' and --config x.toml"),
        (("data-sise",), "unknown study 'data-sise'; did you mean 'data-size'"),
        (("--config", "small"), "unknown study 'small'; did you mean 'small-data'"),
        (("none.toml",), "no TOML file none.toml: check the path"),
        (("bad.toml",), "bad.toml is not TOML: "),
        (("mine.toml", "--seeds", "a"), "--seeds takes whole numbers such as 0,1,2, not 'a'"),
        (("mine.toml", "--seeds", "1,1"), "--seeds names the same one twice"),
        (("mine.toml", "--epochs", "0"), "--epochs"),
        (("mine.toml", "--models", "vitt"), "--models: the study has no 'vitt'; did you mean"),
        (("mine.toml", "--pretraining", "svhn"), "--pretraining: the study has no 'svhn'"),
        (("mine.toml", "--dataset", "digit"), "unknown data set 'digit'; did you mean 'digits'"),
        (("mine.toml", "--results", ""), "--results is empty"),
        (("mine.toml", "--output", "bad.toml/x"), "cannot write to --output bad.toml/x"),
    ],
)
def test_wrong_input_is_one_line(vitprobe_command, tmp_path, train, words, expected):
    write(tmp_path)
    write(tmp_path, "[study]\ndataset = digits\n", "bad.toml")
    ended = vitprobe_command("compare-training", *words)
    assert ended.code == 2 and ended.out == ""
    assert len(ended.err.splitlines()) == 1, ended.err
    assert expected in ended.err
    assert not train.calls and not (tmp_path / "results").exists()


def test_help(vitprobe_command):
    ended = vitprobe_command("compare-training", "--help")
    assert ended.code == 0
    for word in ("STUDY", "small-data", "--config", "--seeds", "--results", "--pretraining"):
        assert word in ended.out
