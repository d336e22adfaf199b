"""`vitprobe compare`: files, tables, groups, files of results, wrong input in one line."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import xarray
from PIL import Image

import vitprobe
import vitprobe.passes.room

VIT = "vit(depth={},dim=24,heads=3,mlp_dim=32)"
MODELS = f"one={VIT.format(1)},two={VIT.format(2)},{VIT.format(3)}"
LABELS = ["one", "two", VIT.format(3)]
SMALL = ("--examples", 96, "--batch-size", 12)
STEM = "results/compare-one-two-vit_depth_3_dim_24_heads_3_mlp_dim_32_-examples96"


def written(ended):
    return [line.split()[-1] for line in ended.out.splitlines() if line.startswith("wrote")]


@pytest.fixture(scope="module")
def result():
    """The same, in Python."""
    models = {"one": VIT.format(1), "two": VIT.format(2), LABELS[2]: LABELS[2]}
    return vitprobe.compare(models, examples=96, batch_size=12)


@pytest.mark.drawn
def test_files(vitprobe_command, result):
    whole = vitprobe_command("compare", "--models", MODELS, *SMALL)
    assert (whole.code, whole.err) == (0, "")
    assert written(whole) == [f"{STEM}{end}" for end in (".nc", ".png", ".csv", "-matches.csv")]
    python, result = result, xarray.load_dataset(f"{STEM}.nc", engine="h5netcdf")
    assert result.attrs["run"] == python.attrs["run"]
    np.testing.assert_allclose(result["similarity"], python["similarity"], rtol=1e-12)
    assert result["model"].values.tolist() == LABELS
    rows = pd.read_csv(f"{STEM}.csv")
    assert list(zip(rows["model"], rows["model2"], strict=True)) == list(combinations(LABELS, 2))
    upper = result["similarity"].values[np.triu_indices(3, 1)]
    np.testing.assert_allclose(rows["similarity"], upper, rtol=1e-12)
    assert {"calibrated", "p_value", "matched", "matched_back", "blank"} <= {*rows}
    rows = pd.read_csv(f"{STEM}-matches.csv")
    assert len(rows) == 2 * result.sizes["site"] and (rows["alike"] >= 1).all()
    first = rows.iloc[0]
    k, site = LABELS.index(first["model2"]), 2  # the first layer that is not of `one`
    assert first[["model", "layer", "match"]].tolist() == ["two", "blocks.0", "blocks.0"]
    assert first["cka"] == pytest.approx(result["best"].values[site, k])
    with Image.open(f"{STEM}.png") as picture:
        assert min(picture.size) > 400
    for words in ("most like", "95 % interval", "calibrated", "chance   every pair", "random: vit"):
        assert words in whole.out
    again = vitprobe_command("plot", f"{STEM}.nc", "--title", "Mine", "--output", "again.png")
    assert again.code == 0, again.err
    ended = vitprobe_command("compare", "--models", MODELS, *SMALL, "--resume")
    assert "finished the results of this run are there" in ended.out


def test_shares_are_merged(vitprobe_command, result, tmp_path):
    words = ("compare", "--models", MODELS, *SMALL, "--name", "shared")
    for share in ("1/2", "2/2"):
        assert vitprobe_command(*words, "--shard", share).code == 0
    ended = vitprobe_command("merge", *(tmp_path / "results").glob("*.partial"), "--name", "shared")
    assert ended.code == 0, ended.err
    found = xarray.load_dataset("results/shared.nc", engine="h5netcdf")
    for name in ("similarity", "similarity_se", "calibrated", "best"):
        np.testing.assert_allclose(found[name], result[name], rtol=1e-9, atol=1e-12)
    assert found.attrs["run"] == result.attrs["run"]


def test_groups_where_memory_is_short(vitprobe_command, result, monkeypatch):
    words = ("compare", "--models", MODELS, *SMALL, "--name", "groups")
    ended = vitprobe_command(*words, "--at-once", 2)
    assert ended.code == 0, ended.err
    assert "group    3 of 3: two=" in ended.out
    one = xarray.load_dataset(written(ended)[0], engine="h5netcdf")
    again = vitprobe_command(*words, "--at-once", 2, "--resume")
    assert again.out.count("finished") == 3 and written(again) == written(ended)
    monkeypatch.setattr(vitprobe.passes.room, "free_on", lambda device: 2_300_000)
    short = vitprobe_command(*words, "--overwrite")
    assert short.code == 0, short.err
    assert "note: the sums of compare need" in short.err
    assert "groups of up to 2 models go through the images instead" in short.err
    two = xarray.load_dataset(written(short)[0], engine="h5netcdf")
    for name in ("similarity", "similarity_se", "p_value", "best", "position"):
        for found in (one, two):
            np.testing.assert_allclose(found[name], result[name], rtol=1e-7, atol=1e-7)
    assert "3 passes over the images, up to 2 at once" in two.attrs["notes"]


def test_of_files(vitprobe_command, tmp_path):
    words = ("--layers", "blocks", *SMALL, "-q", "--output", "cka")
    models = MODELS.rpartition(",vit")[0]
    assert vitprobe_command("cka", "--models", models, *words).code == 0
    paths = sorted((tmp_path / "cka").glob("*.nc"))  # one with itself, one with two, two
    ended = vitprobe_command("compare", *paths, "--name", "files")
    assert (ended.code, ended.err) == (0, "")
    assert written(ended) == [f"results/files{end}" for end in (".nc", ".png", ".csv")]
    pair = xarray.load_dataset(paths[1], engine="h5netcdf")
    found = xarray.load_dataset("results/files.nc", engine="h5netcdf")
    matches = vitprobe.match_layers(pair)
    assert found["similarity"].values[0, 1] == pytest.approx(matches["similarity"].item())
    for given, words in (
        (paths[::2], "no result is of one and two"),
        (paths[:1], "is of one model, one: give results of pairs"),
        (["results/files.png"], "cannot read"),
        (["nothing.nc"], "no result nothing.nc"),
        ([*paths, "--resume"], "--resume is for passes over images"),
        ([*paths, "--models", "vit,resnet20"], "give --models or files of results, not both"),
    ):
        ended = vitprobe_command("compare", *given)
        assert (ended.code, ended.out) == (2, "") and words in ended.err, ended.err
        assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "nothing to compare: give --models"),
        (("--models", "vit"), "--models takes two models or more"),
        (("--models", "vit,vit"), "only one is given"),
        (("--models", "x=vit,x=resnet20"), "two models are called 'x'"),
        (("--models", "vit@nothing-*.pt,vit"), "no file matches"),
        (("--models", "vit,resnet20", "--null", "3"), "at least 19 permutations"),
        (("--models", "vit,resnet20", "--at-once", "1"), "--at-once takes 2 models or more"),
        (
            ("--models", "vit,resnet20", "--layers", "a", "--layers", "b", "--layers", "c"),
            "3 times",
        ),
    ],
)
def test_wrong_input_is_one_line(vitprobe_command, tmp_path, words, expected):
    ended = vitprobe_command("compare", *words)
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 1 and expected in ended.err, ended.err
    assert not (tmp_path / "results").exists()


def test_help(vitprobe_command):
    out = vitprobe_command("compare", "--help").out
    assert "--at-once" in out and "--null" in out and "RESULT.nc" in out
    assert "did you mean 'compare'" in vitprobe_command("compair").err
