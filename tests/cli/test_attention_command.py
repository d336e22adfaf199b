"""`vitprobe attention`, from the words typed to the files written."""

import csv

import numpy as np
import pytest
import xarray as xr
from PIL import Image

SMALL = ("--examples", 16, "--batch-size", 8)
WORDS = "-examples16"  # of these in the files' names

MODELS = """
import torch
from timm.models.swin_transformer import SwinTransformer
from timm.models.xcit import Xcit
from torch import nn


class Unfolded(nn.Module):
    '''No convolution, no name of a class token: 17 tokens that nothing explains.'''

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(192, 8)
        self.first = nn.Parameter(torch.zeros(1, 1, 8))
        self.attn = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        x = self.embed(nn.functional.unfold(x, 8, stride=8).transpose(1, 2))
        x = torch.cat([self.first.expand(len(x), -1, -1), x], 1)
        return self.attn(x, x, x)[0].mean(1)


def swin():
    return SwinTransformer(
        img_size=32, patch_size=4, window_size=4, embed_dim=12, depths=(1, 1), num_heads=(1, 2)
    )


def xcit():
    return Xcit(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, cls_attn_layers=0)
"""


@pytest.fixture
def own_models(tmp_path, monkeypatch):
    (tmp_path / "own_attention.py").write_text(MODELS)
    monkeypatch.syspath_prepend(tmp_path)


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def refused(run, tmp_path, *words):
    ended = run("attention", *words)
    lines = ended.err.splitlines()
    assert ended.code == 2
    assert len(lines) == 1, ended.err
    assert ended.out == ""
    assert not (tmp_path / "results").exists()
    return lines[0]


@pytest.mark.drawn
def test_two_models(vitprobe_command, tmp_path, own_models):
    models = "vit,own_attention:swin"
    ended = vitprobe_command("attention", "--models", models, *SMALL, "--output", "out")
    assert ended.code == 0, ended.err
    names = [f"attention-vit{WORDS}", f"attention-own_attention_swin{WORDS}"]
    expected = {name + suffix for name in names for suffix in (".nc", ".png", ".csv")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected | {
        f"attention-vit-own_attention_swin{WORDS}.png"
    }
    for name in names:
        result = xr.load_dataset(tmp_path / "out" / f"{name}.nc", engine="h5netcdf")
        rows = table(tmp_path / "out" / f"{name}.csv")
        assert len(rows) == result["heads"].sum() == result["distance"].count()
        for row in rows:
            here = result.sel(layer=row["layer"], head=int(row["head"]))
            for column in ("distance", "distance_se", "entropy", "entropy_uniform", "patch_mass"):
                assert float(row[column]) == pytest.approx(here[column].item(), rel=1e-12)
            assert row["blank"] == ""
    for path in (tmp_path / "out").glob("*.png"):
        with Image.open(path) as picture:
            assert min(picture.size) > 600
    for words in (
        "vit: random weights (seed 0), 1,205,898 parameters, 32 px",
        "6 (8 x 8 patches of 4 x 4 px and 1 more token)",
        "1 (4 x 4 patches of 4 x 4 px, in 4 windows)",
        "digits test: 16 examples in 2 batches of 8",
        "blocks.5.attn",
        "seconds",
        "statistics",
        f"attention-vit{WORDS}.nc",
    ):
        assert words in ended.out
    assert "layers have 1 to 2 heads" in ended.err


def test_the_printed_numbers_are_the_results(vitprobe_command, tmp_path):
    ended = vitprobe_command("attention", "--models", "vit", *SMALL)
    result = xr.load_dataset(tmp_path / "results" / f"attention-vit{WORDS}.nc", engine="h5netcdf")
    layer = result.sel(layer="blocks.3.attn")
    line = next(line for line in ended.out.splitlines() if line.startswith("blocks.3.attn"))
    distance = layer["distance"].values
    expected = [f"{value:.2f}" for value in (distance.min(), distance.mean(), distance.max())]
    assert line.split()[1:5] == ["4", *expected]
    assert line.split()[6] == f"{layer['entropy'].values.mean():.3f}"
    assert not list((tmp_path / "results").glob("*vit-own*"))


def test_every_option_reaches_the_result(vitprobe_command, tmp_path):
    ended = vitprobe_command(
        *("attention", "--models", "vit", "--examples", 20, "--batch-size", 10),
        *("--split", "train", "--order", "file", "--image-size", 24, "--mean", "0.5"),
        *("--std", "0.1,0.2,0.3", "--precision", "bf16", "--seed", 5, "--device", "cpu"),
        *("--workers", 1, "--grid", "4x9", "--prefix", 1, "--patch-size", "6x3", "--output", "a/b"),
    )
    assert ended.code == 0, ended.err
    (path,) = (tmp_path / "a" / "b").glob("*.nc")
    assert path.stem == "attention-vit-train-file-order-examples20-24px-bf16-seed5"
    result = xr.load_dataset(path, engine="h5netcdf")
    expected = {
        "analysis": "attention",
        "model": "vit",
        "split": "train",
        "examples": 20,
        "batches": 2,
        "order": "file",
        "dtype": "bf16",
        "seed": 5,
        "device": "cpu",
        "model_image_size": "24, 24",
        "model_mean": "0.5, 0.5, 0.5",
        "model_std": "0.1, 0.2, 0.3",
    }
    assert {name: result.attrs[name] for name in expected} == expected
    grid = [result[name].values[0] for name in ("rows", "columns", "prefix", "patch_height")]
    assert grid == [4, 9, 1, 6]


def test_options_settle_what_cannot_be_told(vitprobe_command, tmp_path, own_models):
    words = ("--models", "own_attention:Unfolded", *SMALL)
    line = refused(vitprobe_command, tmp_path, *words)
    for word in ("17 tokens of attn", "grid", "prefix", "patch_size"):
        assert word in line
    ended = vitprobe_command("attention", *words, "--grid", "4x4", "--prefix", 1)
    assert ended.code == 0, ended.err
    path = tmp_path / "results" / f"attention-own_attention_Unfolded{WORDS}.nc"
    result = xr.load_dataset(path, engine="h5netcdf")
    assert result["patch_width"].values == 8
    assert np.isfinite(result["distance"].values).all()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--models", "vti"), "did you mean 'vit'"),
        (("--models", "resnet20"), "resnet20 has no attention"),
        (("--models", "vit,resnet20"), "resnet20 has no attention"),
        (("--models", "own_attention:xcit"), "channel"),
        (("--models", "vit", "--grid", "5x5"), "patches of 4 x 4 px make 8 x 8 of 32 x 32 px"),
        (("--models", "vit", "--prefix", "2"), "the 65 tokens of blocks.0.attn"),
        (("--models", "vit", "--grid", "8"), "--grid takes whole numbers such as 8x8"),
        (("--models", "vit", "--grid", "8xx"), "--grid takes whole numbers"),
        (("--models", "vit", "--patch-size", "0"), "--patch-size takes whole numbers"),
        (("--models", "vit", "--prefix", "-1"), "--prefix"),
        (("--models", "vit", "--precision", "fp8"), "bf16"),
        (("--models", "vit", "--examples", 3), "at least 4"),
        (("--models", "vit", "--layers", "all"), "No such option: --layers"),
        (("--models", "vit", "--dataset", "digit"), "did you mean 'digits'"),
        (("--models", "vit", "--image-size", 30), "30"),
        ((), "Missing option '--models'"),
    ],
)
def test_one_line(vitprobe_command, tmp_path, own_models, words, expected):
    assert expected in refused(vitprobe_command, tmp_path, *words)


def test_help(vitprobe_command):
    ended = vitprobe_command("attention", "--help")
    assert ended.code == 0
    for option in ("--models", "--grid", "--prefix", "--patch-size", "--precision", "--dataset"):
        assert option in ended.out
    assert "RxC" in ended.out
