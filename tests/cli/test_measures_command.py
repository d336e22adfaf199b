"""`vitprobe cka --measure`, from the words typed to the files written."""

import csv

import numpy as np
import pytest
import xarray as xr
from PIL import Image

VIT = "vit(depth=2,dim=24,heads=3,mlp_dim=32)"
SMALL = ("--layers", "blocks", "--tokens", "mean", "--examples", 40, "--batch-size", 8)
ASKED = "cka,rsa:euclidean:spearman,procrustes,mutual_knn:5,cca"


def loaded(path):
    return xr.load_dataset(path, engine="h5netcdf")


@pytest.mark.drawn
def test_files_and_words(vitprobe_command, tmp_path):
    ended = vitprobe_command(
        *("cka", "--models", f"{VIT},resnet20@digits", "--measure", ASKED, *SMALL, "--name", "x")
    )
    assert ended.code == 0, ended.err
    folder = tmp_path / "results"
    stem = "x-vit_depth_2_dim_24_heads_3_mlp_dim_32_"
    pair = next(path for path in folder.glob("*resnet20*.nc") if path.name.startswith("x-vit"))
    result = loaded(pair)
    for name in ("cka", "rsa_euclidean_spearman", "procrustes", "mutual_knn_5", "cca"):
        assert result[name].dims == ("layer_a", "layer_b")
        assert f"{name}_se" in result
    assert result["mutual_knn_5"].notnull().all()
    assert result["procrustes_se"].notnull().all()
    assert result.attrs["measures"] == ASKED.removeprefix("cka,").replace(",", ", ")
    with open(pair.with_suffix(".csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result["cka"].size
    for row in rows:
        cell = result.sel(layer_a=row["layer_a"], layer_b=row["layer_b"])
        for name in ("cka", "procrustes", "procrustes_se", "mutual_knn_5"):
            assert float(row[name]) == pytest.approx(cell[name].item(), rel=1e-12)
        assert (row["cca"] == "") == bool(row["cca_blank"])
    drawn = pair.with_name(f"{pair.stem}-measures.png")
    with Image.open(drawn) as picture:
        assert picture.size[0] > 1000
    assert len(list(folder.glob("x-*-measures.png"))) == 3 and stem in pair.name
    for words in (
        "features of all 40 examples together",
        "beside it rsa:euclidean:spearman, procrustes, mutual_knn:5, cca",
        "its best match in resnet20@digits, by other measures",
        "cca of resnet20@digits",
    ):
        assert words in ended.out, words
    closest = result["procrustes"].sel(layer_a="blocks.0")
    table = ended.out.split("by other measures")[1]
    line = next(line for line in table.splitlines() if line.startswith("blocks.0"))
    assert closest["layer_b"].values[closest.values.argmin()] in line
    assert f"{closest.min().item():.3f}" in line


def test_drawn_again(vitprobe_command, tmp_path):
    run = ("cka", "--models", VIT, "--measure", "cka,rsa,nbs", *SMALL, "--name", "x")
    assert vitprobe_command(*run).code == 0
    words = ("plot", "results/x.nc", "--measure", "rsa,nbs", "--layers", "blocks")
    ended = vitprobe_command(*words)
    assert ended.code == 0 and "results/x-measures.png" in ended.out
    ended = vitprobe_command("plot", "results/x.nc", "--measure", "rsb")
    assert ended.code == 2 and "no measure 'rsb'" in ended.err and "did you mean 'rsa'" in ended.err


def test_without_cka(vitprobe_command, tmp_path):
    run = ("cka", "--models", VIT, "--measure", "rsa,svcca:3", *SMALL)
    ended = vitprobe_command(*run)
    assert ended.code == 0, ended.err
    (path,) = (tmp_path / "results").glob("*.nc")
    assert path.name.startswith("measures-vit") and "rsa_svcca_3" in path.name
    result = loaded(path)
    assert "cka" not in result and result["svcca_3"].notnull().all()
    assert path.with_suffix(".png").exists() and path.with_suffix(".csv").exists()
    assert "by other measures" in ended.out
    assert "finished" in vitprobe_command(*run, "--resume").out


def test_null_takes_cka(vitprobe_command, tmp_path):
    """It was left out without a word."""
    ended = vitprobe_command("cka", "--models", VIT, "--measure", "rsa", "--null", 50, *SMALL)
    assert ended.code == 2 and "--null 50 is of cka, which was not asked for" in ended.err
    assert "--measure cka,rsa" in ended.err and not (tmp_path / "results").exists()


def test_a_blank_of_a_model_with_itself_is_told_once(vitprobe_command):
    words = ("cka", "--models", VIT, "--measure", "cca", *SMALL, "--tokens", "all")
    ended = vitprobe_command(*words)
    assert ended.code == 0 and ended.out.count("correlate by 1 with anything") == 1


def test_shared_and_merged(vitprobe_command, tmp_path):
    """Measures alone, an analysis that no command is called after."""
    run = ("cka", "--models", VIT, "--measure", "procrustes,mutual_knn:5", *SMALL)
    assert vitprobe_command(*run, "--name", "whole").code == 0
    for k in (1, 2):
        assert vitprobe_command(*run, "--name", "x", "--shard", f"{k}/2").code == 0
    parts = sorted((tmp_path / "results").glob("x*.partial"))
    ended = vitprobe_command("merge", *parts, "--name", "merged")
    assert ended.code == 0, ended.err
    one, other = (loaded(tmp_path / "results" / f"{name}.nc") for name in ("merged", "whole"))
    for name in other.data_vars:
        if other[name].dtype.kind == "f":
            np.testing.assert_allclose(one[name], other[name], rtol=1e-7, atol=1e-10)


def test_wrong_words(vitprobe_command):
    def why(*words):
        ended = vitprobe_command("cka", "--models", VIT, *SMALL, *words)
        assert ended.code == 2 and "Traceback" not in ended.err
        return ended.err

    assert "did you mean 'procrustes'?" in why("--measure", "cka,procustes")
    assert "--kernel rbf is of cka" in why("--measure", "rsa", "--kernel", "rbf")
    assert "--measure has an empty name" in why("--measure", "cka,,rsa")
    assert "needs 61 examples or more, not 40" in why("--measure", "mutual_knn:60")
    assert "give one pass (--passes 1)" in why("--measure", "cca", "--passes", 2)
