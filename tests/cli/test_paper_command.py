"""`vitprobe paper`, from the words typed to the folder written."""

import csv
import re

import pytest
import xarray as xr
from PIL import Image

import vitprobe
from vitprobe.cli import _paper_files
from vitprobe.errors import Stopped

VIT = "vit=vit(depth=2,dim=24,heads=3,mlp_dim=32)"
WIDE = "wide=vit(depth=2,dim=24,heads=3,mlp_dim=48)"
SMALL = ("--examples", 16, "--batch-size", 8)
NAMED = ("paper", "--models", f"{VIT},{WIDE}", *SMALL)


def loaded(path):
    return xr.load_dataset(path, engine="h5netcdf")


@pytest.mark.drawn
def test_the_folder(vitprobe_command, tmp_path):
    """Of a CNN alone, with all of its figures: each named file is there and is what it says."""
    ended = vitprobe_command("paper", "--models", "cnn=resnet20@digits", *SMALL)
    assert ended.code == 0, ended.err
    (folder,) = (tmp_path / "results").iterdir()
    assert folder.name == "paper-cnn-examples16"
    names = {path.name for path in folder.iterdir()}
    stems = {
        *(
            "cka-cnn-cnn-blocks-null200-examples16",
            "skips-cnn-examples16",
            "dominant-cnn-examples16",
            "probe-cnn-blocks-examples16",
        ),
        *("receptive_field-cnn-examples16", "localization-cnn-examples16", "features-cnn-image-0"),
    }
    for stem in stems:
        assert {f"{stem}.nc", f"{stem}.png"} <= names, names
    tables = {path.stem for path in folder.glob("*.csv")}
    assert tables == {"findings", "cka-cnn-cnn-blocks-null200-examples16", "skips-cnn-examples16",
                      "receptive_field-cnn-examples16", "probe-cnn-blocks-examples16"}  # fmt: skip
    page = (folder / "findings.md").read_text()
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page)
    assert set(shown) == {name for name in names if name.endswith(".png")}
    for name in shown:
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 200
    with open(folder / "findings.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert (
        len(rows) >= 6
        and [row["finding"] for row in rows]
        == loaded(folder / "findings.nc")["finding"].values.tolist()
    )
    for row in rows:
        assert row["finding"].replace("|", "\\|") in page
        assert row["finding"].split("(")[0].strip()[:40] in ended.out
        assert (row["told"] == "True") == ("cannot be told" not in row["finding"])
    assert "| attention | cnn | cnn has no attention" in page
    assert "left out attention of cnn: cnn has no attention" in ended.out
    assert "left out head-subsets: it compares two models" in ended.out
    assert "findings.md, and" in ended.out and "weights" not in ended.out
    assert loaded(folder / "skips-cnn-examples16.nc").attrs["analysis"] == "skips"


def test_two_models_again_and_another_run(vitprobe_command, tmp_path):
    ended = vitprobe_command(*NAMED, "--name", "x")
    assert ended.code == 0, ended.err
    folder = tmp_path / "results" / "x"
    names = {path.name for path in folder.iterdir()}
    for name in ("cka-vit-wide-blocks-null200-examples16-pairs.png", "attention-vit-examples16.nc",
                 "head_subsets-vit-wide-examples16.png", "skips-vit-wide-examples16.png",
                 "maps-vit-image-0.nc", "features-wide-image-0.png"):  # fmt: skip
        assert name in names, names
    assert not list((tmp_path / "results").glob("*.partial"))
    assert "random: vit;" in ended.out
    ended = vitprobe_command(*NAMED, "--name", "x", "--resume")
    assert ended.code == 0 and "the results of this run are there" in ended.out
    ended = vitprobe_command(*NAMED, "--name", "x", "--seed", 1)
    assert ended.code == 2 and "holds another run (model 1 weights sha256" in ended.err
    assert "give another --name" in ended.err and "Traceback" not in ended.err


def test_stopped_while_figures_are_made(vitprobe_command, tmp_path, monkeypatch):
    """All is computed: only the files are made again."""
    words = (*NAMED[:2], VIT, *SMALL, "--name", "x")
    real = _paper_files._of_analysis

    def stop(analysis, results):
        raise Stopped(15)

    monkeypatch.setattr(_paper_files, "_of_analysis", stop)
    ended = vitprobe_command(*words)
    assert ended.code == 143 and "--resume goes on from results/x.partial" in ended.err
    assert not (tmp_path / "results" / "x").exists()
    monkeypatch.setattr(_paper_files, "_of_analysis", real)
    monkeypatch.setattr(vitprobe.AttentionReader, "finish", stop)
    ended = vitprobe_command(*words, "--resume")
    assert ended.code == 0 and "2 of 2 batches are done" in ended.out, ended.err
    assert (tmp_path / "results" / "x" / "findings.md").exists()


def test_shares_are_merged(vitprobe_command, tmp_path):
    words = (*NAMED[:2], VIT, *SMALL, "--index", "none")
    for index in (1, 2):
        ended = vitprobe_command(*words, "--shard", f"{index}/2")
        assert ended.code == 0, ended.err
    paths = sorted((tmp_path / "results").glob("*.partial"))
    assert len(paths) == 2
    ended = vitprobe_command("merge", *paths, "--name", "both")
    assert ended.code == 0, ended.err
    both = loaded(tmp_path / "results" / "both" / "findings.nc")
    assert both.attrs["examples"] == 16 and both.sizes["finding"] > 5
    with open(tmp_path / "results" / "both" / "findings.csv", newline="") as file:
        assert [row["finding"] for row in csv.DictReader(file)] == both["finding"].values.tolist()
    assert "left out maps: images are shown to a model" in ended.out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--models", "vitt"), "did you mean"),
        (("--models", "vit,"), "--models has an empty name"),
        (("--models", "resnet20", "--index", "a"), "--index takes whole numbers from 0"),
        (("--models", "resnet20", "--index", "360"), "no image 360: there are 360, from 0 to 359"),
        (("--models", "resnet20", "--layers", "blokcs"), "no layer matches 'blokcs'"),
        (("--models", "resnet20", "--dataset", "npz:none.npz"), "none.npz"),
        (("--models", "resnet20", "--name", "a/b"), "--name a/b"),
    ],
)
def test_what_cannot_be_done_is_one_line(vitprobe_command, tmp_path, words, line):
    ended = vitprobe_command("paper", *words)
    assert ended.code == 2 and "Traceback" not in ended.err
    (last,) = [text for text in ended.err.splitlines() if text.startswith("vitprobe: ")]
    assert line.replace("--name a/b", "--name") in last
    assert not (tmp_path / "results").exists()


def test_help(vitprobe_command):
    ended = vitprobe_command("paper", "--help")
    assert ended.code == 0 and "vitprobe paper --models vit@digits,resnet20@digits" in ended.out
