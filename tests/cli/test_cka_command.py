"""`vitprobe cka`, from the words typed to the files written."""

import csv
import re

import numpy as np
import pytest
import xarray as xr
from PIL import Image

SMALL = ("--examples", 64, "--batch-size", 16, "--layers", "blocks")
WORDS = "-blocks-examples64"  # of these in the files' names


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.drawn
def test_two_models(vitprobe_command, tmp_path):
    ended = vitprobe_command("cka", "--models", "vit,resnet18", *SMALL, "--output", "out")
    assert ended.code == 0
    pairs = ["resnet18-resnet18", "vit-resnet18", "vit-vit"]
    names = [f"cka-{pair}{WORDS}" for pair in pairs]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        [name + suffix for name in names for suffix in (".nc", ".png", ".csv")]
        + [f"cka-vit-resnet18{WORDS}-pairs.png"]
    )
    with Image.open(tmp_path / "out" / f"cka-vit-resnet18{WORDS}-pairs.png") as picture:
        assert max(picture.size) <= 200 * 9  # of a page
    for name in names:
        result = xr.load_dataset(tmp_path / "out" / f"{name}.nc", engine="h5netcdf")
        rows = table(tmp_path / "out" / f"{name}.csv")
        assert len(rows) == result["cka"].size
        for row in rows[:: len(rows) // 7]:
            value = result["cka"].sel(layer_a=row["layer_a"], layer_b=row["layer_b"]).item()
            assert float(row["cka"]) == pytest.approx(value, abs=1e-12)
        with Image.open(tmp_path / "out" / f"{name}.png") as picture:
            assert min(picture.size) > 600
    for words in (
        "vit: random weights (seed 0), 1,205,898 parameters",
        "resnet18: random weights (seed 0), 11,173,962 parameters",
        "digits test: 64 examples in 4 batches of 16",
        "best match",
        "blocks.5",
        "seconds",
        "data",
        "forward",
        "statistics",
        f"cka-vit-resnet18{WORDS}.nc",
    ):
        assert words in ended.out
    assert ended.err.splitlines() == [
        "note: only 4 batches: error bars are rough below 8 "
        "(use more examples or a smaller batch size)"
    ]


def test_the_best_match_is_the_largest_value(vitprobe_command, tmp_path):
    ended = vitprobe_command("cka", "--models", "vit,resnet20", *SMALL)
    result = xr.load_dataset(
        tmp_path / "results" / f"cka-vit-resnet20{WORDS}.nc", engine="h5netcdf"
    )
    best = result["cka"].sel(layer_a="blocks.2")
    line = next(line for line in ended.out.splitlines() if line.startswith("blocks.2"))
    assert line.split()[1:3] == [str(best.idxmax().item()), f"{best.max().item():.3f}"]


def test_three_models_give_every_pair(vitprobe_command, tmp_path):
    ended = vitprobe_command("cka", "--models", "vit,resnet20,resnet32", *SMALL)
    assert ended.code == 0
    assert sorted(path.stem for path in (tmp_path / "results").glob("*.nc")) == [
        f"cka-resnet20-resnet20{WORDS}",
        f"cka-resnet20-resnet32{WORDS}",
        f"cka-resnet32-resnet32{WORDS}",
        f"cka-vit-resnet20{WORDS}",
        f"cka-vit-resnet32{WORDS}",
        f"cka-vit-vit{WORDS}",
    ]


def test_layers_once_per_model(vitprobe_command, tmp_path):
    ended = vitprobe_command(
        *("cka", "--models", "vit,resnet20", "--examples", 32, "--batch-size", 16),
        *("--layers", "blocks.*.mlp.fc2,norm", "--layers", "Conv2d"),
    )
    assert ended.code == 0
    (path,) = (tmp_path / "results").glob("cka-vit-resnet20-*.nc")
    result = xr.load_dataset(path, engine="h5netcdf")
    assert result["layer_a"].values.tolist() == [f"blocks.{i}.mlp.fc2" for i in range(6)] + ["norm"]
    assert set(result["type_b"].values) == {"Conv2d"}
    assert result.sizes["layer_b"] == 19


def test_two_checkpoints_of_one_architecture_are_two_models(vitprobe_command, tmp_path, real_data):
    trained = real_data / "resnet20-12fca82f.th"
    ended = vitprobe_command("cka", "--models", f"resnet20,resnet20@{trained}", *SMALL)
    assert ended.code == 0
    path = tmp_path / "results" / f"cka-resnet20-resnet20@resnet20-12fca82f{WORDS}.nc"
    result = xr.load_dataset(path, engine="h5netcdf")
    assert result.attrs["model_a_weights_sha256"] != result.attrs["model_b_weights_sha256"]
    assert np.diag(result["cka"]).max() < 0.999


def test_the_documented_row_of_resnet20(vitprobe_command, tmp_path, real_data):
    ended = vitprobe_command(
        *("cka", "--models", f"resnet20@{real_data / 'resnet20-12fca82f.th'}"),
        *("--dataset", f"npz:{real_data / 'cifar10-test1000.npz'}", "--batch-size", 250),
        *("--layers", "blocks", "--order", "file"),
    )
    assert ended.code == 0
    (path,) = (tmp_path / "results").glob("*.nc")
    row = xr.load_dataset(path, engine="h5netcdf")["cka"].sel(layer_a="layer1.0").values[1:]
    expected = [0.8498, 0.6778, 0.5942, 0.5512, 0.4906, 0.3818, 0.2922, 0.2166, 0.2594]
    assert row == pytest.approx(expected, abs=2e-4)


def test_every_option_reaches_the_result(vitprobe_command, tmp_path):
    ended = vitprobe_command(
        *("cka", "--models", "resnet20", "--layers", "blocks", "--examples", 40),
        *("--batch-size", 10, "--passes", 2, "--estimator", "biased", "--kernel", "rbf:0.4"),
        *("--split", "train", "--order", "seeded", "--tokens", "mean", "--image-size", 24),
        *("--mean", "0.5", "--std", "0.1,0.2,0.3", "--precision", "bf16", "--seed", 5),
        *("--device", "cpu", "--workers", 1, "--output", "deep/folder"),
    )
    assert ended.code == 0
    (path,) = (tmp_path / "deep" / "folder").glob("*.nc")
    words = "train-biased-rbf_0.4-blocks-mean-passes2-examples40-24px-bf16-seed5"
    assert path.stem == f"cka-resnet20-resnet20-{words}"
    facts = xr.load_dataset(path, engine="h5netcdf").attrs
    expected = {
        "estimator": "biased",
        "kernel": "rbf:0.4",
        "split": "train",
        "examples": 40,
        "passes": 2,
        "batches": 8,
        "order": "seeded",
        "tokens_a": "mean",
        "tokens_b": "mean",
        "dtype": "bf16",
        "seed": 5,
        "device": "cpu",
        "model_a_image_size": "24, 24",
        "model_a_mean": "0.5, 0.5, 0.5",
        "model_a_std": "0.1, 0.2, 0.3",
        "layers_a": "blocks",
    }
    assert {name: facts[name] for name in expected} == expected
    assert "biased" in facts["notes"]


def test_a_corrupt_image_is_named_and_can_be_skipped(vitprobe_command, tmp_path):
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(12):
            pixels = random.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{i}.png")
    (tmp_path / "images" / "dog" / "7.png").write_bytes(b"not a picture")
    words = ("cka", "--models", "resnet20", "--dataset", "imagefolder:images", "--layers", "blocks")
    ended = vitprobe_command(*words, "--batch-size", 8)
    assert ended.code == 2
    assert "7.png" in ended.err.splitlines()[-1]
    assert "--skip-bad-images" in ended.err
    assert not (tmp_path / "results").exists()
    ended = vitprobe_command(*words, "--batch-size", 8, "--skip-bad-images")
    assert ended.code == 0
    assert "7.png" in ended.err
    assert "23 examples" in ended.out


def test_a_first_batch_of_bad_images_does_not_end_the_run(vitprobe_command, tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(16):
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i:02}.png")
    for i in range(3):
        (tmp_path / "images" / f"{i:02}.png").write_bytes(b"not a picture")
    ended = vitprobe_command(
        *("cka", "--models", "resnet20", "--dataset", "imagefolder:images", "--layers", "blocks"),
        *("--order", "file", "--batch-size", 5, "--image-size", 32, "--skip-bad-images"),
    )
    assert ended.code == 0
    assert "3 examples were dropped" in ended.err
    assert "10 examples in 2 batches" in ended.out


def test_labels_are_used_everywhere(vitprobe_command, tmp_path):
    words = ("cka", "--models", "early=vit,late=vit@digits", *SMALL, "--tokens", "cls,mean")
    ended = vitprobe_command(*words, "--output", "out")
    assert ended.code == 0, ended.err
    stem = "cka-early-late-blocks-cls_mean-examples64"
    rows = table(tmp_path / "out" / f"{stem}.csv")
    result = xr.load_dataset(tmp_path / "out" / f"{stem}.nc", engine="h5netcdf")
    assert len(rows) == result["cka"].size
    facts = result.attrs
    assert (facts["model_a"], facts["model_a_spec"]) == ("early", "vit@random")
    assert (facts["model_b"], facts["model_b_spec"]) == ("late", "vit@digits")
    assert (facts["tokens_a"], facts["tokens_b"]) == ("cls", "mean")
    lines = ended.out.splitlines()
    assert lines[0].startswith("model    early (vit): random weights (seed 0), 1,205,898")
    assert "each layer of early and its best match in late" in lines


def test_what_will_be_done_is_said_first(vitprobe_command):
    lines = vitprobe_command("cka", "--models", "vit@digits,resnet20", *SMALL).out.splitlines()
    heads = [line[:9].strip() for line in lines]
    first = heads[: heads.index("time") + 1]
    assert [head for head in first if head] == ["model", "model", "data", "time"]
    assert re.fullmatch(
        r"time     about \d+ s more: 4 batches of about [\d.]+ s", lines[len(first) - 1]
    )
    assert lines[1] == "         7 sites"


def test_another_run_keeps_its_result(vitprobe_command, tmp_path):
    words = ("cka", "--models", "vit", *SMALL)

    def files(*more):
        before = set((tmp_path / "results").glob("*.nc"))
        ended = vitprobe_command(*words, *more)
        return ended, set((tmp_path / "results").glob("*.nc")) - before

    ended, new = files()
    assert [path.name for path in new] == [f"cka-vit-vit{WORDS}.nc"] and "holds" not in ended.err
    ended, new = files()
    assert not new and "holds another run" not in ended.err
    ended, (other,) = files("--mean", 0.5, "--std", 0.5)
    assert "holds another run (model a mean 0.3057, 0.3057, 0.3057, now 0.5, 0.5, 0.5" in ended.err
    assert other.name.startswith(f"cka-vit-vit{WORDS}-")
    ended, new = files("--mean", 0.5, "--std", 0.5)
    assert not new
    ended, (mine,) = files("--name", "mine")
    assert mine.name == "mine.nc"
    ended, new = files("--name", "mine", "--seed", 1)
    assert ended.code == 2 and not new and "--overwrite" in ended.err
    ended, new = files("--name", "mine", "--seed", 1, "--overwrite")
    assert ended.code == 0 and not new
    assert xr.load_dataset(mine, engine="h5netcdf").attrs["seed"] == 1


MODEL_WITH_BRACKETS = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 8, 8)

    def forward(self, x):
        return {"first": self.conv(x), "[/red]": self.conv(x).relu()}
"""


def test_names_with_brackets_are_printed_as_they_are(vitprobe_command, tmp_path, monkeypatch):
    (tmp_path / "brackets.py").write_text(MODEL_WITH_BRACKETS)
    monkeypatch.syspath_prepend(tmp_path)
    options = ("--layers", "output*", "--examples", 32, "--output", "a[b]")
    ended = vitprobe_command("cka", "--models", "brackets:Net", *options)
    assert ended.code == 0
    assert "output[[/red]]" in ended.out
    assert "a[b]/cka-brackets_Net-brackets_Net-output_-examples32.nc" in ended.out
    assert "output[[/red]]" in vitprobe_command("layers", "brackets:Net").out


def test_one_model_with_rows_and_columns(vitprobe_command, tmp_path):
    options = ("--layers", "norm", "--layers", "blocks", "--examples", 32, "--batch-size", 16)
    ended = vitprobe_command("cka", "--models", "vit,vit", *options)
    assert ended.code == 0
    row = next(line for line in ended.out.splitlines() if line.startswith("norm "))
    assert row.split()[1] in {f"blocks.{i}" for i in range(6)}
