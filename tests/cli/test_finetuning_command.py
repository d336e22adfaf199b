"""`vitprobe finetuning`: files, tables, names, globs of checkpoints, wrong input in one line."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray
from PIL import Image

import vitprobe

VIT = "vit(depth=2,dim=24,heads=3,mlp_dim=32)"
SMALL = ("--examples", 48, "--batch-size", 16)


@pytest.fixture
def series(tmp_path):
    """Weights of the small ViT after epochs 0, 2 and 10."""
    for seed, epoch in enumerate((0, 2, 10)):
        model = vitprobe.load_model(VIT, image_size=32, seed=seed)
        torch.save(model.state_dict(), tmp_path / f"run.epoch-{epoch}.pt")


def written(ended):
    return [line.split()[-1] for line in ended.out.splitlines() if line.startswith("wrote")]


@pytest.mark.drawn
def test_files(vitprobe_command, series):
    models = f"{VIT}@run.epoch-*.pt"
    ended = vitprobe_command("finetuning", "--models", models, *SMALL)
    assert ended.code == 0, ended.err
    result, figure, table, distances = written(ended)
    assert (table[-4:], distances[-13:]) == (".csv", "-distance.csv")
    with xarray.open_dataset(result, engine="h5netcdf") as read:
        labels = read["checkpoint"].values.tolist()
        assert [label.rpartition("epoch-")[2] for label in labels] == ["0.pt", "2.pt", "10.pt"]
        assert read["layer"].values.tolist() == ["blocks.0", "blocks.1", "output"]
        assert read["cka"].notnull().all() and read["distance"].notnull().all()
        rows = pd.read_csv(table)
        np.testing.assert_allclose(rows["cka"], read["cka"].values.ravel(), rtol=1e-12)
        assert rows["layer"].tolist() == read["layer"].values.tolist() * 3
        rows = pd.read_csv(distances)
        np.testing.assert_allclose(rows["distance"], read["distance"].values.ravel(), rtol=1e-12)
    with Image.open(figure) as image:
        assert min(image.size) > 300
    assert "3 of each, 2 with attention" in ended.out
    again = vitprobe_command("plot", result, "--layers", "blocks.*", "--title", "Mine")
    assert again.code == 0, again.err


def test_names_of_files(vitprobe_command, series):
    words = ("finetuning", "--layers", "output", *SMALL, "--models")
    ended = vitprobe_command(*words, "a=vit@digits,b=vit")
    assert written(ended)[0] == "results/finetuning-a-b-output-examples48.nc"
    assert "CKA of each layer with that of a" in ended.out and "random: vit" in ended.out
    many = [f"c{k}=vit(depth={6},dim=128,pool='cls',heads={2**k})" for k in range(6)]
    ended = vitprobe_command(*words, ",".join(many))
    assert written(ended)[0] == "results/finetuning-c0-4_more-c5-output-examples48.nc", ended.err


def test_a_model_that_is_given_twice(vitprobe_command):
    ended = vitprobe_command("finetuning", "--models", "vit@digits,vit@digits,vit", *SMALL)
    assert ended.code == 0
    assert "note: vit@digits was given more than once: it is there once\n" in ended.err


def test_without_attention(vitprobe_command):
    models = "resnet20@digits,resnet20"
    ended = vitprobe_command("finetuning", "--models", models, *SMALL)
    assert ended.code == 0 and "note: attention distance is left out: resnet20@digits" in ended.err
    assert [path.rpartition(".")[2] for path in written(ended)] == ["nc", "png", "csv"]


def test_shares_are_merged(vitprobe_command, tmp_path):
    words = ("finetuning", "--models", "vit@digits,vit", *SMALL)
    whole = vitprobe_command(*words, "--output", "whole")
    for share in ("1/2", "2/2"):
        assert vitprobe_command(*words, "--shard", share).code == 0
    ended = vitprobe_command("merge", *(tmp_path / "results").glob("*.partial"))
    assert ended.code == 0, ended.err
    one, two = (xarray.load_dataset(written(each)[0]) for each in (whole, ended))
    for name in ("cka", "distance"):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-12)
    assert one.attrs["run"] == two.attrs["run"]


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ("vit", "--models takes two checkpoints or more"),
        ("vit@run.epoch-1*.pt", "takes two checkpoints or more"),
        ("vit@nothing-*.pt,vit", "no file matches 'nothing-*.pt'"),
        ("all=vit@run.epoch-*.pt,vit", "'all' would be the label of 3 files"),
        ("vit,resnet20", "vit has 6 blocks (blocks.0 to blocks.5) and resnet20 has 9 blocks"),
        ("vit,vit(dim=64)", "the weight blocks.0.norm1.weight differs"),
    ],
)
def test_wrong_input_is_one_line(vitprobe_command, series, tmp_path, models, expected):
    ended = vitprobe_command("finetuning", "--models", models, *SMALL)
    assert ended.code == 2 and ended.out == ""
    assert len(ended.err.splitlines()) == 1 and expected in ended.err, ended.err
    assert not (tmp_path / "results").exists()


def test_help(vitprobe_command):
    out = vitprobe_command("finetuning", "--help").out
    assert "--models" in out and "--layers" in out and "--shard" in out
    ended = vitprobe_command("finetunning", "--models", "vit,vit")
    assert ended.code == 2 and "did you mean 'finetuning'" in ended.err
