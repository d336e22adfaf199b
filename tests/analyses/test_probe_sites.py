"""What a probe gets of a layer: tokens, parts of maps, projections; and what is kept of it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import vitprobe
from vitprobe.analyses import probe_sites
from vitprobe.analyses.probe_sites import Sketch
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions
from vitprobe.passes.inputs import prepare
from vitprobe.passes.run import run

VIT = "vit(depth=1,dim=24,heads=2,mlp_dim=32)"


@pytest.fixture(scope="module")
def data():
    torch.manual_seed(0)
    return TensorDataset(torch.randn(40, 3, 32, 32), torch.arange(40) % 2)


def kept(model, data, layer, **options):
    """Features (40, T, p) by number, as they were kept, and the result."""
    reader = vitprobe.ProbeReader(layer, **options)
    ((result,),) = run(prepare([model], data, InputOptions(batch_size=16)), [reader])
    found = reader.metrics["site0.0"].kept
    assert len(found) == 40
    by_number = torch.empty_like(found)
    by_number[reader.roles.order] = found
    return by_number, result


def outputs(model, layer, data):
    found = []
    handle = model.get_submodule(layer).register_forward_hook(lambda m, i, out: found.append(out))
    with torch.no_grad():
        model.eval()(data.tensors[0])
    handle.remove()
    return found[0]


def test_tokens_of_a_vit(data):
    model = vitprobe.load_model(VIT)
    x = outputs(model, "blocks.0", data)  # (40, 65, 24), the class token first
    patches = x[:, 1:].reshape(40, 8, 8, 24)
    expected = {
        "mean": x[:, 1:].mean(1)[:, None],
        "mean-all": x.mean(1)[:, None],
        "cls": x[:, :1],
        "first": x[:, :1],
        "each": x,
    }
    for tokens, values in expected.items():
        found, result = kept(model, data, "blocks.0", tokens=tokens)
        torch.testing.assert_close(found, values)
        assert result["tokens"].item() == values.shape[1]
    assert result["accuracy"].dims == ("layer", "token") and result.sizes["token"] == 65
    assert result["accuracy_map"].shape == (1, 8, 8)
    np.testing.assert_array_equal(
        result["accuracy_map"].values[0].ravel(), result["accuracy"].values[0, 1:]
    )
    found, result = kept(model, data, "blocks.0", pool=(2, 4))
    parts = patches.reshape(40, 2, 4, 4, 2, 24).mean((2, 4))  # 4 x 2 patches in each
    torch.testing.assert_close(found[:, 0], parts.permute(0, 3, 1, 2).flatten(1))
    assert result["features"].item() == 8 * 24


def test_places_of_a_map(data):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 5, 4, 4), nn.Flatten(), nn.Linear(320, 6))
    x = outputs(model, "0", data)  # (40, 5, 8, 8)
    expected = {
        "mean": x.mean((2, 3))[:, None],
        "first": x[:, :, 0, 0][:, None],
        "each": x.flatten(2).mT,
    }
    for tokens, values in expected.items():
        found, result = kept(model, data, "0", tokens=tokens)
        torch.testing.assert_close(found, values)
    assert (result["rows"].item(), result["columns"].item()) == (8, 8)
    found, _ = kept(model, data, "0", pool=(1, 2))
    halves = x.unflatten(3, (2, 4)).mean((2, 4))
    torch.testing.assert_close(found[:, 0], halves.flatten(1))
    found, result = kept(model, data, "0", pool=(20, 20))  # no more than there are
    torch.testing.assert_close(found[:, 0], x.flatten(1))
    found, result = kept(model, data, "2", tokens="each")  # a vector is one token
    torch.testing.assert_close(found[:, 0], model(data.tensors[0]).detach())
    assert result["accuracy"].shape == (1, 1)


def test_a_token_s_map_is_of_its_own_probe():
    """The class shows in one patch alone: there the probe is right, elsewhere it guesses."""
    torch.manual_seed(2)
    images, labels = torch.randn(400, 3, 16, 16), torch.arange(400) % 2
    images[:, :, 4:8, 8:12] += 3 * labels[:, None, None, None]
    model = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Flatten())
    result = vitprobe.probe(model, TensorDataset(images, labels), layers="0", tokens="each")
    found = result["accuracy_map"].values[0]
    assert found.shape == (4, 4) and found[1, 2] > 0.95
    assert np.delete(found.ravel(), 6).max() < 0.75


def test_a_projection_keeps_products_in_the_mean():
    torch.manual_seed(3)
    x, y = torch.randn(2, 1, 1, 1000, dtype=torch.float64)
    y = 0.5 * x + y
    sketches = [Sketch(1000, 64, seed) for seed in range(800)]
    products = torch.stack([(each(x) * each(y)).sum() for each in sketches])
    exact, spread = (x * y).sum(), (x.norm() * y.norm()) / 64**0.5
    assert abs(products.mean() - exact) < 4 * products.std() / 800**0.5
    assert 0.5 * spread < products.std() < 2 * spread
    torch.testing.assert_close(Sketch(1000, 64, 5)(x), Sketch(1000, 64, 5)(x))
    alone = Sketch(7, 3, 0)(torch.eye(7)[None])[0]  # each feature in one group, with a sign
    assert (alone != 0).sum(1).tolist() == [1] * 7
    assert (alone != 0).sum(0).sort().values.tolist() == [1, 3, 3]


def test_wide_layers_are_projected_and_that_is_said(monkeypatch):
    torch.manual_seed(4)
    images, labels = torch.randn(300, 3, 16, 16), torch.arange(300) % 3
    images += torch.nn.functional.one_hot(labels)[:, :, None, None] * 0.3
    data, model = TensorDataset(images, labels), nn.Sequential(nn.Flatten())
    exact = vitprobe.probe(model, data, width=128)
    assert exact["solved_by"].values.tolist() == ["dual"] and "projected" not in exact.notes
    monkeypatch.setattr(probe_sites, "EXACT", 1000)
    result = vitprobe.probe(model, data, width=128)
    assert result["solved_by"].values.tolist() == ["features, projected"]
    assert (result["features"].item(), result["width"].item()) == (768, 128)
    assert "1 layers with up to 768 features are projected at random to 128" in result.notes
    assert result["accuracy"].item() > 0.75 and exact["accuracy"].item() > 0.9


def test_layers_without_such_tokens_are_told(data):
    result = vitprobe.probe(VIT, data, tokens="cls", layers=["patch_embed.proj", "blocks", "head"])
    assert "patch_embed.proj left out of tokens='cls': it has no class token" in result.notes
    assert result["layer"].values.tolist() == ["blocks.0", "head", "output"]
    with pytest.raises(
        InputError, match="no layer of resnet20 has tokens='cls'.*use tokens='mean'"
    ):
        vitprobe.probe("resnet20", data, tokens="cls", layers="blocks")


def test_passes_are_refused():
    with pytest.raises(InputError, match="a probe sees every image once: give one pass, not 2"):
        vitprobe.run([vitprobe.ProbeReader()], "vit@digits", examples=64, passes=2)
