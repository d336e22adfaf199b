"""`vitprobe probe`, from the words typed to the files written."""

import csv

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from vitprobe.data import load_data

VIT = "vit(depth=1,dim=24,heads=2,mlp_dim=32)"
SMALL = ("--examples", 300, "--batch-size", 100, "--layers", "blocks", "--name", "x")


def loaded(path):
    return xr.load_dataset(path, engine="h5netcdf")


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.drawn
def test_two_models(vitprobe_command, tmp_path):
    models = f"small={VIT},resnet20@digits"
    ended = vitprobe_command("probe", "--models", models, "--examples", 150, "--output", "out")
    assert ended.code == 0, ended.err
    stems = ["probe-small-examples150", "probe-resnet20@digits-examples150"]
    files = {stem + end for stem in stems for end in (".nc", ".png", ".csv")}
    both = "probe-small-resnet20@digits-examples150.png"
    assert {path.name for path in (tmp_path / "out").iterdir()} == files | {both}
    for stem in stems:
        result = loaded(tmp_path / "out" / f"{stem}.nc")
        rows = table(tmp_path / "out" / f"{stem}.csv")
        assert [row["layer"] for row in rows] == result["layer"].values.tolist()
        for row in rows:
            here = result.sel(layer=row["layer"])
            for name in ("accuracy", "accuracy_se", "l2", "features"):
                assert float(row[name]) == pytest.approx(here[name].item(), rel=1e-12)
            assert row["solved_by"] == here["solved_by"].item() and row["blank"] == ""
        attrs = result.attrs
        assert attrs["examples_train"] + attrs["examples_test"] == attrs["examples"] == 150
        assert (attrs["dataset"], attrs["split"], attrs["train"]) == ("digits", "test", "digits")
    for path in (tmp_path / "out").glob("*.png"):
        with Image.open(path) as picture:
            assert min(picture.size) > 500
    for words in (
        "to choose a penalty by",
        "61 layers of up to 64 features",
        "probes of resnet20@digits: accuracy on",
        "its own classifier",
        "layer3.2.act2",
        "sums",
        "solving",
    ):
        assert words in ended.out


def test_each_token_has_a_row(vitprobe_command, tmp_path):
    ended = vitprobe_command("probe", "--models", VIT, *SMALL, "--tokens", "each", "--shots", 3)
    assert ended.code == 0, ended.err
    result = loaded(tmp_path / "results" / "x.nc")
    rows = table(tmp_path / "results" / "x.csv")
    assert len(rows) == 65 + 1 and result["accuracy"].shape == (2, 65)
    assert (rows[0]["row"], rows[1]["row"], rows[9]["row"], rows[9]["col"]) == ("", "0", "1", "0")
    assert float(rows[9]["accuracy"]) == pytest.approx(result["accuracy_map"].values[0, 1, 0])
    of_draws = [float(rows[9][f"draw_{k}"]) for k in range(5)]
    assert np.mean(of_draws) == pytest.approx(float(rows[9]["accuracy"]))
    assert "highest of tokens" in ended.out and "drawn 5 times" in ended.out
    assert "66 probes" in ended.out


def test_training_images_of_another_file(vitprobe_command, tmp_path):
    for split in ("train", "test"):
        data = load_data("digits", split=split)
        np.savez(tmp_path / f"{split}.npz", images=data.images[:200], labels=data.labels[:200])
    words = ("probe", "--models", VIT, "--layers", "blocks", "--dataset", "npz:test.npz")
    ended = vitprobe_command(*words, "--train", "npz:train.npz", "--solver", "knn", "--k", 3)
    assert ended.code == 0, ended.err
    (path,) = (tmp_path / "results").glob("*.nc")
    attrs = loaded(path).attrs
    assert (attrs["examples_train"], attrs["examples_test"]) == (200, 200)
    assert attrs["train"] == "npz:train.npz" and attrs["k"] == 3 and "k3" in path.name
    assert "knn" in path.name and "npz_test" in path.name


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--models", "vitt"), "did you mean"),
        (("--models", "vit", "--solver", "rige"), "unknown solver 'rige'; did you mean 'ridge'"),
        (("--models", "vit", "--shots", "0"), "--shots takes a number from 1 on, not 0"),
        (("--models", "vit", "--shots", "200"), "--shots 200 needs as many of each: give fewer"),
        (("--models", "vit", "--l2", "one"), "--l2 takes penalties such as 1 or 0.1,1,10"),
        (("--models", "vit", "--pool", "2"), "--pool takes whole numbers such as"),
        (("--models", "resnet20", "--tokens", "cls"), "has --tokens cls"),
        (("--models", "vit", "--tolerance", "1"), "--tolerance: accuracies are known at the end"),
        (("--models", "vit", "--train", "digit"), "unknown data set 'digit'; did you mean"),
        (("--models", "vit", "--split", "train"), "trained on and tested on the same images"),
        (("--models", "vit", "--examples", "10"), "training images of 10 classes are too few"),
        (("--models", "vit", "--dataset", "npz:no.npz"), "no.npz"),
        (("--models", "vit", "--tokns", "cls"), "No such option"),
    ],
)
def test_what_cannot_be_done_is_one_line(vitprobe_command, tmp_path, words, line):
    ended = vitprobe_command("probe", *words)
    assert ended.code == 2 and line in ended.err and "Traceback" not in ended.err
    assert not (tmp_path / "results").exists()


def test_one_class(vitprobe_command, tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (50, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=np.zeros(50, np.int64))
    ended = vitprobe_command("probe", "--models", VIT, "--dataset", "npz:x.npz")
    assert ended.code == 2 and "images of one class only: a probe needs two or more" in ended.err
    (tmp_path / "pictures").mkdir()
    for k in range(6):
        Image.fromarray(images[k]).save(tmp_path / "pictures" / f"{k}.png")
    ended = vitprobe_command("probe", "--models", VIT, "--dataset", "imagefolder:pictures")
    assert ended.code == 2 and "has no labels: probes need the class" in ended.err


def test_help(vitprobe_command):
    ended = vitprobe_command("probe", "--help")
    assert ended.code == 0 and "vitprobe probe --models vit@digits,resnet20@digits" in ended.out


def test_shares_resumed_and_merged(vitprobe_command, tmp_path):
    words = ("probe", "--models", VIT, *SMALL)
    assert vitprobe_command(*words, "--output", "whole").code == 0
    whole = loaded(tmp_path / "whole" / "x.nc")
    for index in (1, 2):
        ended = vitprobe_command(*words, "--shard", f"{index}/2", "--output", "shares")
        assert ended.code == 0, ended.err
    paths = sorted((tmp_path / "shares").glob("*.partial"))
    assert vitprobe_command("merge", *paths, "--output", "merged").code == 0
    (merged,) = (tmp_path / "merged").glob("*.nc")
    for name in ("accuracy", "accuracy_se", "blank"):
        np.testing.assert_array_equal(loaded(merged)[name], whole[name])
    assert len(list((tmp_path / "merged").iterdir())) == 3  # also a figure and a table
    ended = vitprobe_command(*words, "--output", "whole", "--resume")
    assert ended.code == 0 and "the results of this run are there" in ended.out
    ended = vitprobe_command("plot", tmp_path / "whole" / "x.nc", merged, "--output", "drawn.png")
    assert ended.code == 0, ended.err
