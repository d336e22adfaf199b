"""`vitprobe data-size` and `model-size`: their files, their tables, and wrong input in one line."""

import csv
import importlib

import numpy as np
import pytest
import xarray
from made_models import TEXT, MadeTrain
from made_sizes import made
from made_study import write

import vitprobe.training
from vitprobe.analyses import study_run
from vitprobe.analyses.study_result import with_looks
from vitprobe.cli import _study_summary
from vitprobe.errors import InputError
from vitprobe.passes.run import Pass

PARTS = (1.0, 0.1)


@pytest.fixture
def train(monkeypatch):
    fake = MadeTrain()
    monkeypatch.setattr(vitprobe.training, "train", fake, raising=False)
    return fake


@pytest.fixture
def given(monkeypatch):
    """What the analysis was called with; it gives made-up results, whose figure is not drawn."""
    calls = {}
    monkeypatch.setattr(_study_summary, "plot", lambda result: result)
    monkeypatch.setattr(_study_summary, "png_bytes", lambda figure: b"figure")
    for name, result in (
        ("data_size", made({"vit": 6, "resnet20": 9}, PARTS, without=["resnet20"])),
        ("model_size", made({"small": 2, "large": 4}, fraction=False, blank=[(0, 1)])),
    ):

        def analysis(study, *, told=calls, result=result, **options):
            told |= options | {"study": study}
            return result

        module = importlib.import_module(f"vitprobe.analyses.{name}")
        monkeypatch.setattr(module, name, analysis)
    return calls


def written(ended):
    return [line.split()[-1] for line in ended.out.splitlines() if line.startswith("wrote")]


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_cut_and_again(vitprobe_command, tmp_path, train, monkeypatch):
    """Stopped when the models have been looked at: nothing is trained or looked at anew."""
    text = TEXT.replace('\n[[model]]\nmodel = "resnet20"', "")
    study = write(tmp_path, text)
    words = ("data-size", study, "--seeds", "0", "--examples", "40", "--batch-size", "20")
    seen = []

    def see_and_stop(*given):
        seen.append(with_looks(*given))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(study_run, "with_looks", see_and_stop)
        ended = vitprobe_command(*words)
    assert ended.code == 130 and not (tmp_path / "results").exists()
    assert "looking at vit: models 2, on digits" in ended.err.splitlines()
    kept = tmp_path / "checkpoints" / ".data_size-mine"
    assert len(train.made) == 2 and len(list(kept.glob("*.partial"))) == 1
    monkeypatch.setattr(Pass, "_batch", stop)
    ended = vitprobe_command(*words)
    assert ended.code == 0, ended.err
    assert len(train.made) == 2 and not kept.exists()
    stem = "results/data_size-mine-examples40"
    ends = (".nc", ".csv", "-cka.csv", "-distance.csv", "-skips.csv", ".png")
    assert written(ended) == [stem + end for end in ends]
    with xarray.open_dataset(f"{stem}.nc", engine="h5netcdf") as read:
        assert read["cka"].shape == (1, 2, 1, 3) and read.attrs["examples"] == 40
        for name in ("cka", "cka_se", "distance", "skip_ratio"):
            np.testing.assert_allclose(read[name], seen[0][name], rtol=1e-12)
        assert read["cka"].notnull().all() and (read["cka"].sel(fraction=0.5) < 1).all()
        assert set(read["cka_other_seeds_blank"].values.ravel()) == {"one seed: there is no other"}
    refused = vitprobe_command("plot", f"{stem}.nc", "--layers", "blocks")
    assert refused.code == 2 and len(refused.err.splitlines()) == 1


def stop(*given):
    raise KeyboardInterrupt


def test_tables(vitprobe_command, given):
    ended = vitprobe_command("data-size")
    assert ended.code == 0, ended.err
    assert given["study"] == "digits" and given["device"] == "auto"
    table = rows("results/data_size-digits.csv")
    assert len(table) == 12 and table[0]["fraction"] == "1.0" and float(table[0]["accuracy"]) < 1
    layers = rows("results/data_size-digits-cka.csv")
    assert len(layers) == 6 * (7 + 10)  # a ViT of 6 blocks and a ResNet of 9, and their outputs
    assert [layers[0][key] for key in ("model", "seed", "layer_name")] == ["vit", "0", "blocks.0"]
    attention = rows("results/data_size-digits-distance.csv")
    without = [row for row in attention if row["model"] == "resnet20"]
    assert len(attention) == 6 * 6 + 6 and len(without) == 6
    assert without[0]["distance"] == "" and "no attention" in without[0]["distance_blank"]
    assert len(rows("results/data_size-digits-skips.csv")) == 6 * (12 + 18)
    assert "blank    attention of resnet20: 6 (this model has no attention" in ended.out
    lines = [line.split() for line in ended.out.splitlines()]
    (line,) = (words for words in lines if words[:3] == ["vit", "10", "%"])
    mean = 100 * sum(float(row["accuracy"]) for row in table[3:6]) / 3
    assert line[3] == f"{mean:.1f}"


def test_tables_of_sizes(vitprobe_command, given):
    ended = vitprobe_command("model-size", "cifar10", "--epochs", "3", "--seeds", "4,2")
    assert ended.code == 0, ended.err
    assert (given["study"], given["epochs"], given["seeds"]) == ("cifar10", 3, [4, 2])
    table = rows("results/model_size-cifar10-epochs3.csv")
    assert [row["largest"] for row in table] == ["large"] * 6
    assert "blank    runs of small: 1 (the loss is nan)" in ended.out
    assert "CKA of small" not in ended.out  # said once


@pytest.mark.parametrize(
    ("dataset", "word"),
    [("cifar10", ""), ("cifar100", "-cifar100"), ("npz:data/mine.npz", "-npz_mine")],
)
def test_a_name_tells_the_data_set_that_is_not_the_study_s(dataset, word, given, vitprobe_command):
    ended = vitprobe_command("data-size", "cifar10", "--dataset", dataset)
    assert ended.code == 0, ended.err
    assert written(ended)[0] == f"results/data_size-cifar10{word}.nc"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("digit",), "unknown study 'digit'; did you mean 'digits'?"),
        (("digits", "--config", "x.toml"), "two studies, 'digits' and --config x.toml"),
        (("none.toml",), "no TOML file none.toml: check the path"),
        (("small-data",), "study small-data has 3 pre-trainings"),
        (("model-size-digits",), "study model-size-digits has no fraction but 1"),
        (("mine.toml", "--models", "vitt"), "--models: the study has no 'vitt'; did you mean"),
        (("mine.toml", "--seeds", "1,1"), "--seeds names the same one twice"),
        (("mine.toml", "--batch-size", "2"), "a batch of 2 is too small"),
        (("mine.toml", "--results", ""), "--results is empty"),
        (("mine.toml", "--dataset", "digit"), "unknown data set 'digit'; did you mean 'digits'"),
    ],
)
def test_wrong_input_is_one_line(vitprobe_command, tmp_path, train, words, expected):
    write(tmp_path, TEXT)
    ended = vitprobe_command("data-size", *words)
    assert ended.code == 2 and ended.out == "" and len(ended.err.splitlines()) == 1, ended.err
    assert expected in ended.err and not train.calls and not (tmp_path / "results").exists()


def test_sizes_of_parts_are_refused(vitprobe_command, train):
    ended = vitprobe_command("model-size", "data-size-digits")
    assert ended.code == 2 and "has 3 fractions of the data" in ended.err and not train.calls


def test_interrupted(vitprobe_command, tmp_path, train):
    train.fail["mine-vit-none-f100-s0"] = KeyboardInterrupt()
    ended = vitprobe_command("data-size", write(tmp_path, TEXT))
    assert ended.code == 130 and not (tmp_path / "results").exists()
    assert "the same command goes on" in ended.err.splitlines()[-1]
    train.fail["mine-vit-none-f100-s0"] = InputError("cannot write: no space left")
    ended = vitprobe_command("data-size", "mine.toml")
    assert ended.err == "vitprobe: run mine-vit-none-f100-s0: cannot write: no space left\n"


def test_help(vitprobe_command):
    for command in ("data-size", "model-size"):
        ended = vitprobe_command(command, "--help")
        assert ended.code == 0
        for word in ("STUDY", "imagenet-100", "--seeds", "--examples", "compare-training"):
            assert word in ended.out
