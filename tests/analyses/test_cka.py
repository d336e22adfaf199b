"""`vitprobe.cka` from models and images to the labelled result."""

import itertools

import brute_force
import numpy as np
import pytest
import timm
import torch
import torchvision
import xarray as xr
from torch.utils.data import DataLoader, TensorDataset

import vitprobe
from vitprobe.errors import InputError, VitprobeWarning

pytestmark = pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")


def activations(model, images, *paths):
    """Outputs of modules in float64, copied before anything overwrites them: {path: [per call]}."""
    model, taken = model.double().eval(), {path: [] for path in paths}
    handles = [
        model.get_submodule(path).register_forward_hook(
            lambda _, __, out, path=path: taken[path].append(out.detach().clone().numpy())
        )
        for path in paths
    ]
    with torch.no_grad():
        model(images.double())
    for handle in handles:
        handle.remove()
    model.float()
    return taken


def value(result, a, b):
    return result["cka"].sel(layer_a=a, layer_b=b).item()


@pytest.mark.parametrize("batch_size", [250, 1000])
def test_resnet20_on_real_images(real_data, batch_size):
    rows = {
        1000: [0.8493, 0.6782, 0.5934, 0.5495, 0.4880, 0.3781, 0.2879, 0.2159, 0.2587],
        250: [0.8498, 0.6778, 0.5942, 0.5512, 0.4906, 0.3818, 0.2922, 0.2166, 0.2594],
    }
    result = vitprobe.cka(
        f"resnet20@{real_data / 'resnet20-12fca82f.th'}",
        data=f"npz:{real_data / 'cifar10-test1000.npz'}",
        layers="blocks",
        batch_size=batch_size,
        order="file",
    )
    names = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)] + ["output"]
    assert result["layer_b"].values.tolist() == names
    found = result["cka"].sel(layer_a="layer1.0").values[1:]
    assert np.abs(found - rows[batch_size]).max() < 2e-4
    assert np.isnan(result["cka_se"]).all() == (batch_size == 1000)


def test_every_layer_against_float64(images):
    """All sites of a small ViT and a ResNet, against Song's formula on float64 activations."""
    vit = vitprobe.load_model("vit", image_size=16)
    resnet = vitprobe.load_model("resnet18", image_size=16)
    result = vitprobe.cka(vit, resnet, images, layers=["blocks"], batch_size=20)
    exact = [
        {name: taken[0] for name, taken in activations(model, images, *paths).items()}
        for model, paths in (
            (vit, [f"blocks.{i}" for i in range(6)]),
            (resnet, [f"layer{s}.{b}" for s in (1, 2, 3, 4) for b in (0, 1)]),
        )
    ]
    for a, x in exact[0].items():
        for b, y in exact[1].items():
            assert value(result, a, b) == pytest.approx(brute_force.cka(x, y, 20), abs=2e-5)
    names = list(exact[1])
    own = result["cka_bb"].sel(layer_b=names[0], layer_b2=names[-1]).item()
    first, last = exact[1][names[0]], exact[1][names[-1]]
    assert own == pytest.approx(brute_force.cka(first, last, 20), abs=2e-5)


def test_in_place_relu_does_not_overwrite_what_is_measured(images):
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=10)
    names = ["bn1", "relu", "layer1.0.bn2", "layer1.0"]
    result = vitprobe.cka(model, data=images, layers=names, batch_size=24)
    taken = {name: calls[0] for name, calls in activations(model, images, *names).items()}
    for a, b in (("bn1", "relu"), ("layer1.0.bn2", "layer1.0")):
        exact = brute_force.cka(taken[a], taken[b], 24)
        assert exact < 0.99
        assert value(result, a, b) == pytest.approx(exact, abs=1e-5)


def test_a_model_of_many_habits(habits, images):
    result = vitprobe.cka(habits, data=images, layers="modules", batch_size=24)
    assert result["layer_a"].values.tolist() == [
        "conv",
        "norm",
        "relu",
        "norm#2",
        "relu#2",
        "pair",
        "pair[1][maximum]",
        "head",
        "output",
        "output[extra]",
    ]
    assert result["left_out_a"].values.tolist() == ["unused"]
    assert "never fires" in result["left_out_reason_a"].values[0]
    taken = activations(habits, images, "norm", "relu")
    calls = [(path, call) for path in taken for call in (0, 1)]
    for (a, i), (b, j) in itertools.combinations(calls, 2):
        names = [path + ("#2" if call else "") for path, call in ((a, i), (b, j))]
        exact = brute_force.cka(taken[a][i], taken[b][j], 24)
        assert value(result, *names) == pytest.approx(exact, abs=1e-5)
    assert value(result, "norm", "relu") < 0.99  # one object, two versions
    assert value(result, "head", "output") == pytest.approx(1, abs=1e-12)  # one tensor


def test_sequence_first_transformer(sequence_first, images):
    names = ["encoder.layers.0", "encoder.layers.1"]
    result = vitprobe.cka(sequence_first, data=images, layers=names, batch_size=16)
    taken = activations(sequence_first, images, *names)
    x, y = (taken[name][0].transpose(1, 0, 2) for name in names)
    assert value(result, *names) == pytest.approx(brute_force.cka(x, y, 16), abs=1e-5)
    assert result["features_a"].sel(layer_a=names[0]) == 16 * 16


def test_models_with_inputs_of_different_size():
    result = vitprobe.cka(
        "vit", "torchvision:squeezenet1_1", layers=["blocks", "output"], layers_b="features.*",
        examples=32, batch_size=16,
    )  # fmt: skip
    assert result.attrs["model_a_image_size"] == "32, 32"
    assert result.attrs["model_b_image_size"] == "224, 224"
    assert result["cka"].notnull().all()


def test_a_shuffling_loader_shows_both_models_the_same_images(images):
    model = vitprobe.load_model("vit", image_size=16)
    twin = vitprobe.load_model("vit", image_size=16)
    loader = DataLoader(TensorDataset(images), batch_size=24, shuffle=True)
    result = vitprobe.cka(model, twin, loader, layers="blocks")
    assert np.diag(result["cka"]).min() == pytest.approx(1, abs=1e-6)


def test_class_sorted_files_give_the_shuffled_answer(real_data, tmp_path):
    stored = np.load(real_data / "cifar10-test1000.npz")
    order = np.argsort(stored["labels"], kind="stable")
    in_order = {name: stored[name][order] for name in ("images", "labels")}
    np.savez(tmp_path / "sorted.npz", **in_order)
    weights = f"resnet20@{real_data / 'resnet20-12fca82f.th'}"
    options = {"layers": ["layer1.0", "layer3.2"], "batch_size": 100}
    shuffled, of_sorted = (
        vitprobe.cka(weights, data=f"npz:{path}", **options)
        for path in (real_data / "cifar10-test1000.npz", tmp_path / "sorted.npz")
    )
    pair = ("layer1.0", "layer3.2")
    error = shuffled["cka_se"].sel(layer_a=pair[0], layer_b=pair[1]).item()
    assert abs(value(shuffled, *pair) - value(of_sorted, *pair)) < 3 * error
    with pytest.warns(VitprobeWarning, match="of 10 classes"):
        by_class = vitprobe.cka(
            weights, data=f"npz:{tmp_path / 'sorted.npz'}", order="file", **options
        )
    assert abs(value(by_class, *pair) - value(shuffled, *pair)) > 3 * error
    assert "of 10 classes" in by_class.attrs["notes"]


def test_short_last_batches(images):
    model = vitprobe.load_model("vit", image_size=16)
    options = {"layers": "blocks", "batch_size": 15}
    with pytest.warns(VitprobeWarning, match="3 examples were dropped, in batches of fewer than 4"):
        result = vitprobe.cka(model, data=images, **options)  # 15, 15, 15, 3
    assert result.attrs["examples"] == 45
    same = vitprobe.cka(model, data=images[:45], **options)
    assert np.array_equal(result["cka"], same["cka"])
    longer = vitprobe.cka(model, data=images[:35], **options)  # 15, 15, 5: the last one counts
    assert longer.attrs["batches"] == 3


def test_passes_and_degrees_of_freedom():
    options = {"layers": "blocks", "examples": 64, "batch_size": 16}
    once = vitprobe.cka("vit", **options)
    twice = vitprobe.cka("vit", passes=2, **options)
    assert (once.se_df, twice.se_df) == (3, 3)
    assert (once.attrs["batches"], twice.attrs["batches"]) == (4, 8)
    assert not np.array_equal(once["cka"], twice["cka"])
    assert np.abs(once["cka"] - twice["cka"]).max() < 0.1


def test_passes_over_the_same_batches_are_refused(images, real_data):
    loader = DataLoader(TensorDataset(images), batch_size=16)
    file = f"npz:{real_data / 'cifar10-test1000.npz'}"
    for data, order in ((images, "seeded"), (loader, "seeded"), (file, "file")):
        with pytest.raises(InputError, match="repeat the very same batches"):
            vitprobe.cka("resnet20", data=data, passes=2, order=order)
    shuffling = DataLoader(TensorDataset(images), batch_size=16, shuffle=True)
    assert vitprobe.cka("resnet20", data=shuffling, layers="blocks", passes=2).se_df == 2


def test_nothing_is_claimed_of_images_taken_as_they_are(images):
    facts = vitprobe.cka("resnet20", data=images, layers="blocks", batch_size=16).attrs
    assert facts["order"] == "as given"
    assert [facts[f"model_a_{name}"] for name in ("mean", "std", "image_size")] == [""] * 3


def test_the_result_survives_its_file(images, tmp_path):
    result = vitprobe.cka("vit", "resnet20", layers=["blocks", "Linear"], examples=32, batch_size=8)
    result.to_netcdf(tmp_path / "cka.nc", engine="h5netcdf")
    read = xr.load_dataset(tmp_path / "cka.nc", engine="h5netcdf")
    xr.testing.assert_identical(read.drop_attrs(), result.drop_attrs())
    for name in ("analysis", "model_a", "model_b_weights_sha256", "notes", "seed", "se_df"):
        assert read.attrs[name] == result.attrs[name]
    assert read.attrs["model_a"] == "vit"
    assert read.attrs["dataset"] == "digits"


def test_seed_decides_weights_and_order():
    options = {"layers": "blocks", "examples": 32, "batch_size": 8}
    first, again, other = (vitprobe.cka("vit", seed=seed, **options) for seed in (0, 0, 1))
    assert np.array_equal(first["cka"], again["cka"])
    assert not np.array_equal(first["cka"], other["cka"])


def test_biased_and_rbf_run_through():
    options = {"layers": "blocks", "examples": 64, "batch_size": 16}
    unbiased = vitprobe.cka("resnet20", **options)
    biased = vitprobe.cka("resnet20", estimator="biased", **options)
    gaussian = vitprobe.cka("resnet20", kernel="rbf", **options)
    assert np.abs(biased["cka"] - unbiased["cka"]).max() > 1e-3
    assert "batch size" in biased.attrs["notes"]
    assert not np.allclose(gaussian["cka"], unbiased["cka"], atol=1e-3)
    assert np.diag(gaussian["cka"]) == pytest.approx(1)


def test_tokens():
    options = {"layers": "blocks.*", "examples": 32, "batch_size": 8}
    by_tokens = {
        tokens: vitprobe.cka("vit", tokens=tokens, **options)
        for tokens in ("all", "cls", "patches", "mean")
    }
    features = [r["features_a"].sel(layer_a="blocks.5").item() for r in by_tokens.values()]
    assert features == [65 * 128, 128, 64 * 128, 128]
    values = [value(by_tokens[name], "blocks.0", "blocks.5") for name in ("cls", "patches", "mean")]
    assert min(abs(a - b) for a, b in itertools.combinations(values, 2)) > 1e-6


def test_a_given_timm_model_keeps_its_own_size_and_normalisation():
    given = timm.create_model("vit_tiny_patch16_224", img_size=48, num_classes=10)
    facts = vitprobe.cka(given, layers="blocks", examples=16, batch_size=8).attrs
    assert facts["model_a_image_size"] == "48, 48"
    assert facts["model_a_mean"] == "0.5, 0.5, 0.5"
    assert facts["model_a"] == "VisionTransformer"
    by_name = vitprobe.cka("vit", layers="blocks", examples=16, batch_size=8).attrs
    assert by_name["model_a_mean"].startswith("0.30")  # digits' own
