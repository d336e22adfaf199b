"""`vitprobe receptive-field`, from the words typed to the files written."""

import csv

import numpy as np
import pytest
import xarray as xr

SMALL = ("--examples", 16, "--batch-size", 4)
MODELS = ("receptive-field", "--models", "vit@digits,resnet20@digits")


def loaded(folder):
    paths = sorted(folder.glob("*.nc"))
    return {path.name: xr.load_dataset(path, engine="h5netcdf") for path in paths}


def same(one, other):
    assert one.sizes == other.sizes
    for name in one.variables:
        a, b = one[name].values, other[name].values
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, 1e-9, 1e-12, err_msg=name)
        else:
            assert a.tolist() == b.tolist()
    assert one.attrs["run"] == other.attrs["run"]


def test_two_models(vitprobe_command, tmp_path):
    ended = vitprobe_command(*MODELS, *SMALL, "--output", "out")
    assert ended.code == 0, ended.err
    stem = "receptive_field-{}@digits-examples16"
    names = {stem.format(name) for name in ("vit", "resnet20")}
    expected = {name + suffix for name in names for suffix in (".nc", ".png", ".csv")}
    both = "receptive_field-vit@digits-resnet20@digits-examples16.png"
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected | {both}
    vit, resnet = (loaded(tmp_path / "out")[f"{stem.format(n)}.nc"] for n in ("vit", "resnet20"))
    with open(tmp_path / "out" / f"{stem.format('resnet20')}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == resnet["layer"].values.tolist()
    assert [float(row["box"]) for row in rows] == [7, 11, 15, 21, 29, 37, 49, 65, 81]
    assert [float(row["r50"]) for row in rows] == resnet["r50"].values.tolist()
    np.testing.assert_allclose(vit["map"].sum(("row", "col")), 1)
    for line in ("backward passes for each batch: 12 (6 attention, 6 MLP)", "81 covers the image",
                 "vit@digits: 18 (attention)", "16 examples in 4 batches of 4"):  # fmt: skip
        assert line in ended.out, ended.out


def test_shares_and_what_goes_on_give_the_whole(vitprobe_command, tmp_path):
    words = ("receptive-field", "--models", "resnet20@digits", "--layers", "layer1.0,layer3.2")
    assert vitprobe_command(*words, *SMALL, "--output", "whole").code == 0
    (whole,) = loaded(tmp_path / "whole").values()
    for share in ("1/2", "2/2"):
        ended = vitprobe_command(*words, *SMALL, "--output", "shares", "--shard", share)
        assert ended.code == 0, ended.err
    paths = sorted((tmp_path / "shares").glob("*.partial"))
    ended = vitprobe_command("merge", *paths, "--output", "merged")
    assert ended.code == 0, ended.err
    (merged,) = loaded(tmp_path / "merged").values()
    same(merged, whole)
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert {path.name for path in (tmp_path / "merged").iterdir()} == names
    again = vitprobe_command(*words, *SMALL, "--output", "whole", "--resume")
    assert again.code == 0 and "finished" in again.out


def test_it_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    import vitprobe
    from vitprobe.metrics.receptive_field import FieldSums

    def reader():
        return vitprobe.ReceptiveFieldReader("layer1.0")

    options = {"examples": 12, "batch_size": 4}
    ((whole,),) = vitprobe.run([reader()], "resnet20@digits", **options)
    update, seen = FieldSums.update, []

    def interrupted(self, *words):
        update(self, *words)
        seen.append(words[-1])
        if len(seen) == 2:
            raise KeyboardInterrupt

    partial = tmp_path / "some.partial"
    keep = {"partial": partial, "save_every": 1e-9}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FieldSums, "update", interrupted)
        vitprobe.run([reader()], "resnet20@digits", **options, **keep)
    assert seen == [0, 1]
    ((found,),) = vitprobe.run([reader()], "resnet20@digits", **options, **keep, resume=True)
    for name in ("map", "r50", "r50_se", "centre", "centre_se"):
        np.testing.assert_array_equal(found[name], whole[name])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--models", "vit@digits", "--residual", "before"), "--residual is post or pre"),
        (("--models", "vit@digits", "--convention", "raghuu"), "did you mean 'raghu'?"),
        (("--models", "vit@digits", "--layers", "layer1.0"), "no layer matches 'layer1.0'"),
        (("--models", "vit@digits", "--examples", "400"), "there are 360"),
        (("--models", "vitt"), "vitt"),
        (("--models", "torchvision:vgg11", "--residual", "pre"), "has no residual sums"),
        (("--models", "vit@digits", "--layers", "output"), "no position in the image"),
    ],
)
def test_what_cannot_be_done_is_one_line(vitprobe_command, tmp_path, words, line):
    ended = vitprobe_command("receptive-field", *words)
    assert ended.code == 2 and ended.out == ""
    assert len(ended.err.splitlines()) == 1 and line in ended.err, ended.err
    assert not (tmp_path / "results").exists()


def test_help_tells_the_options(vitprobe_command):
    ended = vitprobe_command("receptive-field", "--help")
    assert ended.code == 0
    for word in ("--residual", "--convention", "--layers", "replknet", "first 32", "--shard"):
        assert word in ended.out


def test_a_tolerance_ends_it(vitprobe_command, tmp_path):
    words = ("--examples", 80, "--batch-size", 4, "--tolerance", 3, "--save-every", 1e-9)
    ended = vitprobe_command(
        "receptive-field", "--models", "resnet20@digits", "--layers", "layer3.2", *words
    )
    assert ended.code == 0, ended.err
    (result,) = loaded(tmp_path / "results").values()
    assert result.attrs["examples"] == 32 and result.attrs["tolerance"] == 3
    assert result["r50_se"].item() < 3


def test_the_few_examples_of_the_default_are_not_in_the_name(vitprobe_command):
    words = ("receptive-field", "--models", "resnet20@digits", "--layers", "layer1.0")
    ended = vitprobe_command(*words, "--residual", "pre")
    assert ended.code == 0, ended.err
    assert "32 examples in 1 batch of 32" in ended.out
    assert "results/receptive_field-resnet20@digits-layer1.0-pre.nc\n" in ended.out
    help = " ".join(vitprobe_command("receptive-field", "--help").out.split())
    assert "(default: │ │ 32, as in the paper)" in help or "default: 32" in help
