"""`vitprobe skips`, from the words typed to the files written."""

import csv

import numpy as np
import pytest
import xarray as xr
from PIL import Image

import vitprobe

VIT = "vit(depth=2,dim=24,heads=3,mlp_dim=32)"
SMALL = ("--examples", 40, "--batch-size", 8, "--name", "x")


def loaded(path):
    return xr.load_dataset(path, engine="h5netcdf")


def assert_same(one, other):
    for name in one:
        np.testing.assert_allclose(
            one[name].values, other[name].values, rtol=1e-12, atol=1e-14, err_msg=name
        )


@pytest.mark.drawn
def test_two_models(vitprobe_command, tmp_path):
    ended = vitprobe_command(
        *("skips", "--models", "vit@digits,resnet20@digits", "--examples", 16, "--output", "out")
    )
    assert ended.code == 0, ended.err
    stems = [f"skips-{model}@digits-examples16" for model in ("vit", "resnet20")]
    files = {stem + end for stem in stems for end in (".nc", ".png", ".csv")}
    both = "skips-vit@digits-resnet20@digits-examples16.png"
    assert {path.name for path in (tmp_path / "out").iterdir()} == files | {both}
    for stem, groups in zip(stems, (("patches", "cls"), ("patches",)), strict=True):
        result = loaded(tmp_path / "out" / f"{stem}.nc")
        with open(tmp_path / "out" / f"{stem}.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == result.sizes["layer"] * len(groups)
        for row in rows:
            here = result.sel(layer=row["layer"], group=row["group"])
            assert row["group"] in groups and row["kind"] == here["kind"].item()
            for name in ("ratio", "ratio_se", "cosine", "cosine_se", "z_norm", "tokens"):
                assert float(row[name]) == pytest.approx(here[name].item(), rel=1e-12)
    for path in (tmp_path / "out").glob("*.png"):
        with Image.open(path) as picture:
            assert min(picture.size) > 600
    for words in (
        "6 (around attention); 6 (around MLPs)",
        "9 (around blocks)",
        "skips of vit@digits",
        "blocks.5.mlp",
        "ratio, cls",
        "layer3.2",
    ):
        assert words in ended.out


BLANK = """
import timm


def resnet():
    return timm.create_model("resnet18", zero_init_last=True)
"""


def test_blanks_are_told(vitprobe_command, tmp_path, monkeypatch):
    """Branches that training begins at zero."""
    (tmp_path / "own_blank.py").write_text(BLANK)
    monkeypatch.syspath_prepend(tmp_path)
    ended = vitprobe_command(
        "skips", "--models", "own_blank:resnet", "--examples", 8, "--name", "x", "--image-size", 32
    )
    assert ended.code == 0, ended.err
    assert "blank    own_blank:resnet" in ended.out
    assert "its long branch is zero everywhere" in (tmp_path / "results" / "x.csv").read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("--models", "torchvision:squeezenet1_1"),
            "squeezenet1_1 has no skips: nothing in it",
        ),
        (("--models", "vitt"), "did you mean"),
        (("--models", "vit", "--tolerence", "1"), "No such option"),
        (("--models", ""), "--models"),
    ],
)
def test_what_cannot_be_done_is_one_line(vitprobe_command, tmp_path, words, line):
    ended = vitprobe_command("skips", *words)
    assert ended.code == 2 and line in ended.err and "Traceback" not in ended.err
    assert not (tmp_path / "results").exists()


def test_help(vitprobe_command):
    ended = vitprobe_command("skips", "--help")
    assert ended.code == 0 and "vitprobe skips --models vit@digits,resnet20@digits" in ended.out


@pytest.mark.drawn
def test_shares_resumed_and_merged(vitprobe_command, tmp_path):
    words = ("skips", "--models", VIT, *SMALL)
    assert vitprobe_command(*words, "--output", "whole").code == 0
    whole = loaded(tmp_path / "whole" / "x.nc")
    for index in (1, 2):
        ended = vitprobe_command(*words, "--shard", f"{index}/2", "--output", "shares")
        assert ended.code == 0, ended.err
    paths = sorted((tmp_path / "shares").glob("*.partial"))
    assert vitprobe_command("merge", *paths, "--output", "merged").code == 0
    (merged,) = (tmp_path / "merged").glob("*.nc")
    assert_same(whole, loaded(merged))
    with Image.open(next((tmp_path / "merged").glob("*.png"))) as picture:
        assert min(picture.size) > 600


def test_tolerance_ends_a_run(vitprobe_command, tmp_path):
    ended = vitprobe_command(
        *("skips", "--models", VIT, "--batch-size", 8, "--tolerance", 100, "--save-every", 1e-6),
        *("--name", "x"),
    )
    assert ended.code == 0, ended.err
    result = loaded(tmp_path / "results" / "x.nc")
    assert result.attrs["examples"] < 360 and result.attrs["tolerance"] == 100


def test_stopped_and_gone_on_with(tmp_path, monkeypatch):
    options = {"examples": 40, "batch_size": 8, "partial": tmp_path / "x.partial"}
    ((whole,),) = vitprobe.run([vitprobe.SkipsReader()], VIT, examples=40, batch_size=8)
    reader, finish = vitprobe.SkipsReader(), vitprobe.SkipsReader.finish

    def stop(self):
        if self._batch.number == 3:
            raise KeyboardInterrupt
        finish(self)

    monkeypatch.setattr(vitprobe.SkipsReader, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        vitprobe.run([reader], VIT, save_every=1e-6, **options)
    monkeypatch.setattr(vitprobe.SkipsReader, "finish", finish)
    ((found,),) = vitprobe.run([vitprobe.SkipsReader()], VIT, resume=True, **options)
    assert found.attrs["examples"] == 40
    for name in whole:
        np.testing.assert_array_equal(found[name].values, whole[name].values)
