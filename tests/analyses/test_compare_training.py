"""The result of a study: every number at its place, blanks with reasons, overrides."""

import json

import numpy as np
import pytest
import xarray
from made_study import FakeTrain, write

from vitprobe.analyses.compare_training import compare_training, rows
from vitprobe.errors import InputError
from vitprobe.training.diverged import Diverged

BLANK = "mine-small_vit-pre-f10-s1"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    train = FakeTrain({BLANK: Diverged("the loss is nan")})
    return compare_training(write(tmp_path_factory.mktemp("study")), output="out", train=train)


def test_numbers_stand_at_their_places(result):
    assert result["accuracy"].dims == ("model", "pretraining", "fraction", "seed")
    assert list(result["model"].values) == ["small ViT", "resnet20"]
    assert list(result["pretraining"].values) == ["none", "pre"]
    assert list(result["fraction"].values) == [0.1, 1.0] and list(result["seed"].values) == [3, 1]
    fractions, seeds = np.array([0.1, 1.0]), np.array([3, 1])
    expected = 0.32 + 0.01 * seeds + 0.2 * fractions[:, None] + np.array([0, 0.1])[:, None, None]
    expected = np.stack([expected, expected])
    expected[0, 1, 0, 1] = np.nan
    np.testing.assert_allclose(result["accuracy"], expected)
    np.testing.assert_array_equal(result["val_accuracy"].isnull(), np.isnan(expected))
    assert result["val_accuracy"].sel(model="resnet20").values == pytest.approx(0.4)
    assert list(result["parameters"].values) == [1000, 2000]
    assert (result["best_epoch"].sel(model="resnet20") == 2).all()
    assert (result["epochs"].sel(model="resnet20") == 4).all()
    chosen = {"model": "resnet20", "pretraining": "pre", "fraction": 1.0, "seed": 3}
    one = result.sel(chosen)
    assert one["checkpoint"].item() == "out/mine-resnet20-pre-f100-s3.pt"
    assert json.loads(one["settings"].item())["batch_size"] == 32
    assert one["seconds"].item() == 4 * 1.5


def test_a_blank_has_its_reason(result):
    reasons = result["reason"].values
    assert (reasons == "the loss is nan").sum() == 1 and (reasons == "").sum() == 15
    one = result.isel(model=0, pretraining=1, fraction=0, seed=1)
    assert one["reason"].item() == "the loss is nan" and one["model_name"].item() == BLANK
    assert one["epochs"].item() == 0 and one["checkpoint"].item() == ""
    assert one["epoch_accuracy"].isnull().all()


def test_curves_are_padded_after_a_runs_last_epoch(result):
    assert list(result["epoch"].values) == [1, 2, 3, 4, 5]
    loss = result["epoch_train_loss"].isel(pretraining=0, fraction=0, seed=0)
    np.testing.assert_allclose(loss.sel(model="small ViT"), [2, 1, 2 / 3, 0.5, 0.4])
    np.testing.assert_allclose(loss.sel(model="resnet20"), [2, 1, 2 / 3, 0.5, np.nan])
    accuracy = result["epoch_accuracy"].isel(model=1, pretraining=0, fraction=1, seed=1)
    np.testing.assert_allclose(accuracy, [0.9, 0.53, 0.9, 0.9, np.nan])


def test_provenance(result):
    attrs = result.attrs
    assert (attrs["analysis"], attrs["study"]) == ("compare_training", "mine")
    assert (attrs["dataset"], attrs["num_classes"]) == ("digits", 10)
    assert json.loads(attrs["config"])["options"] == {"epochs": 4, "batch_size": 32}
    assert attrs["vitprobe_version"] and attrs["torch_version"]


def test_rows_are_over_seeds(result):
    found = {(row["model"], row["pretraining"], row["fraction"]): row for row in rows(result)}
    assert len(found) == 8
    whole = found["resnet20", "none", 1.0]
    assert whole["mean"] == pytest.approx(0.54)
    assert (whole["min"], whole["max"]) == (pytest.approx(0.53), pytest.approx(0.55))
    assert (whole["seeds"], whole["reason"]) == (2, "")
    cut = found["small ViT", "pre", 0.1]
    assert cut["seeds"] == 1 and cut["reason"] == "the loss is nan"
    assert cut["mean"] == cut["min"] == cut["max"] == pytest.approx(0.47)


def test_it_survives_a_file(result, tmp_path):
    result.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as read:
        np.testing.assert_array_equal(read["accuracy"], result["accuracy"])
        assert rows(read) == rows(result)
        assert list(read["reason"].values.ravel()) == list(result["reason"].values.ravel())


def test_all_blank(tmp_path):
    text = '[study]\ndataset="digits"\n[[model]]\nmodel="vit"\n'
    train = FakeTrain({"mine-vit-none-f100-s0": Diverged("the loss is inf")})
    result = compare_training(write(tmp_path, text), train=train)
    (row,) = rows(result)
    assert (row["mean"], row["seeds"], row["reason"]) == (None, 0, "the loss is inf")
    result.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "x.nc", engine="h5netcdf") as read:
        assert rows(read) == [row] and read.sizes["epoch"] == 0


def test_what_is_given_goes_before_the_file(tmp_path):
    train = FakeTrain()
    result = compare_training(
        write(tmp_path),
        dataset="digits",
        data_dir="somewhere",
        epochs=2,
        seeds=[5],
        models=["resnet20"],
        pretraining=["pre"],
        device="cpu",
        train=train,
    )
    assert result.sizes == {"model": 1, "pretraining": 1, "fraction": 2, "seed": 1, "epoch": 2}
    assert [call["mode"] for call in train.calls] == ["pretrain", "finetune", "finetune"]
    for call in train.calls:
        assert (call["epochs"], call["data_dir"], call["device"]) == (2, "somewhere", "cpu")
        assert call["seed"] == 5 and call["model"] == "resnet20"


def test_another_target_has_other_test_images(tmp_path):
    text = '[study]\ndataset="npz:a"\ntest_dataset="npz:b"\n[[model]]\nmodel="vit"\n'
    train = FakeTrain()
    result = compare_training(write(tmp_path, text), dataset="digits", train=train)
    assert train.calls[0]["dataset"] == "digits" and train.calls[0]["test_dataset"] is None
    assert result.attrs["test_dataset"] == "digits"


def test_wrong_input_stops_before_training(tmp_path):
    train = FakeTrain()
    for wrong in ({"models": ["vitt"]}, {"dataset": "digit"}, {"pretraining": ["x"]}):
        with pytest.raises(InputError):
            compare_training(write(tmp_path), train=train, **wrong)
    assert not train.calls


def test_real_training_and_again(tmp_path):
    """With `vitprobe.training.train` itself; a second call reads what the first has trained."""
    numbers = np.random.default_rng(0)
    for name, examples in (("train", 60), ("test", 20)):
        labels = np.arange(examples) % 2
        images = numbers.integers(0, 100, (examples, 8, 8, 3)) + 100 * labels[:, None, None, None]
        np.savez(tmp_path / name, images=images.astype(np.uint8), labels=labels)
    study = write(
        tmp_path,
        f"""
        [study]
        dataset = "npz:{tmp_path}/train.npz"
        test_dataset = "npz:{tmp_path}/test.npz"
        [train]
        recipe = "adam-plain"
        epochs = 2
        batch_size = 10
        workers = 0
        device = "cpu"
        patch_size = 4
        dim = 16
        depth = 1
        heads = 2
        mlp_dim = 16
        [[model]]
        model = "vit"
        [[model]]
        model = "vit"
        label = "wild"
        optimizer = "sgd"
        lr = 1e30
        [[pretraining]]
        dataset = "none"
        [[pretraining]]
        dataset = "npz:{tmp_path}/train.npz"
        epochs = 1
        """,
    )
    output = tmp_path / "runs"
    first = compare_training(study, output=output)
    values = first["accuracy"].values[:, :, 0, 0]
    assert np.isfinite(values[0]).all() and np.isnan(values[1]).all()
    scratch, tuned = first["reason"].values[1, :, 0, 0]
    assert scratch.startswith("the loss is nan at step 2 of epoch 1")
    assert tuned.startswith("pre-training: the loss is nan")
    assert (first["epochs"].values[0] == 2).all() and first["parameters"].values[0] > 1000
    assert json.loads(first["settings"].values[0, 1, 0, 0])["mode"] == "finetune"
    written = {path: path.stat().st_mtime_ns for path in output.glob("mine-vit*.pt")}
    assert len(written) == 6
    again = compare_training(study, output=output)
    xarray.testing.assert_identical(first, again)
    assert written == {path: path.stat().st_mtime_ns for path in output.glob("mine-vit*.pt")}
    with pytest.raises(InputError, match=r"mine-vit-none-f100-s0.*other settings \(epochs 2 and 3"):
        compare_training(study, output=output, epochs=3)
