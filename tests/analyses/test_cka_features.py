"""CKA of activations that were stored is that of the model that they are of."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import vitprobe
from vitprobe.data import load_data
from vitprobe.errors import InputError
from vitprobe.passes.inputs import prepare
from vitprobe.taps import capture, select, survey

LAYERS = ["blocks.[03]", "blocks.1.mlp.fc1", "head"]
MEASURES = "cka,rsa,procrustes,mutual_knn"
SAME = {"examples": 64, "batch_size": 16, "null": 19, "measure": MEASURES}


@pytest.fixture(scope="module")
def vit():
    return vitprobe.load_model("vit@digits")


@pytest.fixture(scope="module")
def activations(vit):
    """Of some layers, of the digits in their own order, computed in the batches of `SAME`."""
    found = {}
    data = load_data("digits")
    loader = prepare(
        [vit], data, vitprobe.input_options.InputOptions(examples=64, batch_size=16)
    ).loader
    batches = list(loader)
    sites = select(survey(vit, batches[0].images[0]), LAYERS).sites
    for batch in batches:
        (images,) = batch.images

        def take(site, x, twin, index=batch.index):
            whole = found.setdefault(site.name, torch.zeros(len(data), *x.shape[1:]))
            whole[index] = x

        with capture(vit, sites, take):
            vit(images)
    return found


@pytest.fixture(scope="module")
def of_the_model(vit):
    return vitprobe.cka(vit, layers=LAYERS, **SAME)


def equal(result, other):
    assert list(result["layer_a"].values) == list(other["layer_a"].values)
    for name in ("cka", "cka_se", "hsic", "p_value", "rsa", "procrustes", "mutual_knn"):
        assert np.array_equal(result[name], other[name], equal_nan=True), name


def test_to_the_last_digit(tmp_path, activations, of_the_model):
    arrays = {name: x.numpy() for name, x in activations.items()}
    np.savez(tmp_path / "vit.npz", **arrays)
    result = vitprobe.cka_features(tmp_path / "vit.npz", **SAME)
    equal(result, of_the_model)
    equal(vitprobe.cka_features(arrays, **SAME), of_the_model)
    attrs = result.attrs
    assert (attrs["model_a"], attrs["model_a_spec"]) == ("vit", str(tmp_path / "vit.npz"))
    assert (attrs["dataset"], attrs["order"], attrs["examples"]) == (
        "stored features",
        "seeded",
        64,
    )
    assert attrs["seed"] == of_the_model.attrs["seed"]


def by_hand(x, y):
    """Unbiased CKA of one batch, in float64."""

    def centred(x):
        x = x.double().flatten(1)
        n, gram = len(x), x @ x.T
        gram.fill_diagonal_(0)
        rows = gram.sum(1) / (n - 2)
        gram = gram - rows - rows[:, None] + gram.sum() / ((n - 1) * (n - 2))
        return gram.fill_diagonal_(0)

    k, m = centred(x), centred(y)
    return ((k * m).sum() / ((k * k).sum() * (m * m).sum()).sqrt()).item()


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_right_against_float64(tmp_path, kind):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, 5, generator=generator) + 3
    y = torch.tanh(x.flatten(1) @ torch.randn(30, 7, generator=generator))
    x, y = x.to(kind), y.to(kind)
    save_file({"x": x, "y": y}, tmp_path / "a.safetensors")
    result = vitprobe.cka_features(tmp_path / "a.safetensors", batch_size=40)
    found = result["cka"].sel(layer_a="x", layer_b="y").item()
    close = {torch.float64: 1e-12, torch.float32: 1e-6}.get(kind, 2e-3)
    assert found == pytest.approx(by_hand(x, y), abs=close)


def test_two_files_and_what_they_are_called(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(2, 32, 9))
    np.savez(tmp_path / "a.npz", conv=x)
    np.save(tmp_path / "b.npy", y)
    crossed = vitprobe.cka_features(tmp_path / "a.npz", tmp_path / "b.npy")
    assert crossed["cka"].dims == ("layer_a", "layer_b")
    assert crossed["layer_b"].values.tolist() == ["b"]  # after the file
    assert {"cka_aa", "cka_bb"} <= {*crossed}
    labelled = vitprobe.cka_features({"early": tmp_path / "a.npz", "late": {"b": y}})
    assert [labelled.attrs[f"model_{side}"] for side in "ab"] == ["early", "late"]
    assert labelled["cka"].item() == crossed["cka"].item()
    assert [crossed.attrs[f"model_{side}"] for side in "ab"] == ["a", "b"]
    within = vitprobe.cka_features({"conv": x, "b": y}, layers="conv", layers_b="b")
    assert within["cka"].item() == crossed["cka"].item()
    file_order = vitprobe.cka_features(tmp_path / "a.npz", tmp_path / "b.npy", order="file")
    assert file_order["cka"].item() == pytest.approx(crossed["cka"].item())  # one batch of all
    assert file_order.attrs["order"] == "file"


def test_a_layer_with_nan_is_a_blank(tmp_path):
    x = np.random.default_rng(0).normal(size=(32, 9))
    bad = x.copy()
    bad[5, 2] = np.nan
    np.savez(tmp_path / "a.npz", good=x, bad=bad, same=np.ones((32, 3)), label=np.arange(32))
    result = vitprobe.cka_features(tmp_path / "a.npz", batch_size=16)
    assert result["layer_a"].values.tolist() == ["good", "bad", "same"]
    good, nan, same = result["blank_a"].values
    assert (good, same) == ("", "constant activations")
    assert nan.startswith("non-finite values (first in batch ")
    assert np.isnan(result["cka"].values[1:]).all() and result["cka"].values[0, 0] == 1
    assert result["left_out_a"].values.tolist() == ["label"]
    assert "one number for each example" in result["left_out_reason_a"].item()


def test_only_what_is_asked_for_is_read(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.random.rand(32, 9), y=np.random.rand(32, 999))
    whole = (tmp_path / "a.npz").read_bytes()
    cut = bytearray(whole)
    place = whole.index(b"y.npy") + 100_000
    cut[place : place + 99] = b"\xff" * 99  # NaN
    (tmp_path / "a.npz").write_bytes(cut)
    assert vitprobe.cka_features(tmp_path / "a.npz", layers="x")["cka"].item() == 1
    assert np.isnan(vitprobe.cka_features(tmp_path / "a.npz", layers="y")["cka"].item())


@pytest.mark.parametrize(
    "given, words",
    [
        (({"x": torch.zeros(8, 2), "y": torch.zeros(9, 2)},), "'x' has 8 examples, 'y' 9"),
        (
            ({"x": torch.zeros(8, 2)}, {"y": torch.zeros(9, 2)}),
            "features a has 8 examples, features b 9: both hold the same ones",
        ),
        (({"x": torch.zeros(1, 2)},), "features a has 1 example "),
        (({"x": torch.zeros(8)},), "no array of features a can be a layer: 'x': it has one number"),
        (({},), "no array of features a can be a layer: it holds none"),
        ((3,), "a file or a dict of arrays by layer, not int"),
        (("absent.npz",), "no features absent.npz: check the path"),
        (({"x": {"x": torch.rand(8, 2)}, "y": {}, "z": {}},), "no array of features y"),
    ],
)
def test_what_cannot_be_compared(given, words):
    with pytest.raises(InputError, match=words):
        vitprobe.cka_features(*given)


def test_layers_that_are_not_there():
    with pytest.raises(InputError, match=r"\(its arrays: conv1, conv2\); did you mean"):
        vitprobe.cka_features({"conv1": torch.rand(8, 2), "conv2": torch.rand(8, 2)}, layers="conv")
    with pytest.raises(InputError, match="no blocks found: give 'all'"):
        vitprobe.cka_features({"blocks.0": torch.rand(8, 2)}, layers="blocks")
