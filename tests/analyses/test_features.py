"""Feature maps are what the network computes: bit for bit, at the moment it does."""

from importlib import import_module

import numpy as np
import pytest
import timm
import torch
import torchvision
import xarray
from torch import nn

import vitprobe
from vitprobe.errors import InputError, VitprobeWarning


def hooked(model, images, names):
    """Copies of these modules' outputs in one forward, by name, `#2` for a second call."""
    found, calls, hooks = {}, {}, []

    def keep(name):
        def hook(module, args, output):
            calls[name] = calls.get(name, 0) + 1
            found[name if calls[name] == 1 else f"{name}#{calls[name]}"] = output.clone()

        return hook

    for name in dict.fromkeys(name.partition("#")[0] for name in names):
        hooks.append(model.get_submodule(name).register_forward_hook(keep(name)))
    model.eval()
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return {name: found[name] for name in names}


def check(result, expected):
    """expected: name -> (N, C, rows, columns), as the model gave them."""
    assert list(result["layer"].values) == list(expected)
    for name, maps in expected.items():
        one = result.sel(layer=name)
        images, channels, rows, columns = maps.shape
        sizes = [one[key].item() for key in ("channels", "rows", "cols")]
        assert sizes == [channels, rows, columns] and one["blank"].item() == ""
        strength = maps.double().abs().mean((2, 3)).numpy()
        for image in range(images):
            order = np.argsort(-strength[image], kind="stable")
            count = min(channels, result.sizes["rank"])
            chosen = one["top_channel"].values[image]
            assert chosen[:count].tolist() == order[:count].tolist(), name
            assert (chosen[count:] == -1).all()
            kept = one["top"].values[image]
            assert kept.dtype == np.float32
            np.testing.assert_array_equal(
                kept[:count, :rows, :columns], maps[image].numpy()[order[:count]]
            )
            assert np.isnan(kept[count:]).all()
            assert np.isnan(kept[:, rows:]).all() and np.isnan(kept[:, :, columns:]).all()
        np.testing.assert_allclose(one["strength"], -np.sort(-strength)[:, : one.sizes["rank"]])
        mean = one["channel_mean"].values
        np.testing.assert_allclose(
            mean[:, :rows, :columns], maps.double().mean(1).numpy(), atol=1e-12
        )
        assert np.isnan(mean[:, rows:]).all() and np.isnan(mean[:, :, columns:]).all()


@pytest.fixture
def pictures():
    return torch.randn(3, 3, 16, 24, generator=torch.Generator().manual_seed(1))


class InPlace(nn.Module):
    """A norm that the ReLU after it overwrites, a ReLU that is called twice, a sum in place."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        y = self.conv2(x)
        y += x
        return self.head(self.pool(self.relu(y)).mean((2, 3)))


def test_in_place_operations_do_not_reach_what_was_there_before(pictures):
    torch.manual_seed(0)
    model = InPlace()
    names = ["conv1", "bn1", "relu", "conv2", "relu#2", "pool"]
    expected = hooked(model, pictures, names)
    assert (expected["bn1"] < 0).any() and not (expected["relu"] < 0).any()
    result = vitprobe.features(model, pictures, names)
    check(result, expected)
    assert dict(result.sizes)["rank"] == 6


def test_the_strongest_channels_are_kept_and_ties_go_to_the_first(pictures):
    model = nn.Sequential(nn.Conv2d(3, 5, 1, bias=False), nn.Identity())
    scale = torch.tensor([1.0, -3.0, 0.5, 3.0, 2.0])  # a negative response is a response
    with torch.no_grad():
        model[0].weight.copy_(torch.outer(scale, torch.ones(3))[..., None, None])
    result = vitprobe.features(model, pictures, "0", top=3)
    assert result["top_channel"].values[:, 0].tolist() == [[1, 3, 4]] * 3
    check(result, hooked(model, pictures, ["0"]))


def test_tokens_become_maps_without_class_and_register_tokens(pictures):
    torch.manual_seed(0)
    model = timm.models.VisionTransformer(
        img_size=(16, 24), patch_size=4, embed_dim=24, depth=2, num_heads=3, reg_tokens=2
    )
    names = ["blocks.0.mlp.act", "blocks.1", "norm"]
    tokens = hooked(model, pictures, names)
    expected = {name: x[:, 3:].transpose(1, 2).unflatten(2, (4, 6)) for name, x in tokens.items()}
    check(vitprobe.features(model, pictures, names), expected)


def test_maps_with_channels_last():
    torch.manual_seed(0)
    model = torchvision.models.swin_v2_t(num_classes=4)
    images = torch.randn(2, 3, 64, 96)
    names = ["features.0.0", "features.0.2", "features.1.0", "features.3.1", "norm"]
    outputs = hooked(model, images, names)
    first = outputs.pop("features.0.0")  # the convolution, channels first
    expected = {"features.0.0": first} | {n: x.permute(0, 3, 1, 2) for n, x in outputs.items()}
    check(vitprobe.features(model, images, names), expected)


class SequenceFirst(nn.Module):
    """(tokens, examples, width), as nn.TransformerEncoder wants it by default."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        layer = nn.TransformerEncoderLayer(16, 2, 32)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x):
        return self.encoder(self.patches(x).flatten(2).permute(2, 0, 1)).mean(0)


def test_a_sequence_first_model(pictures):
    torch.manual_seed(0)
    model = SequenceFirst()
    result = vitprobe.features(model, pictures)
    names = ["encoder.layers.0", "encoder.layers.1"]
    expected = {
        name: x.permute(1, 2, 0).unflatten(2, (4, 6))
        for name, x in hooked(model, pictures, names).items()
    }
    check(result.sel(layer=names), expected)
    assert list(result["layer"].values) == ["patches", *names]


def test_as_many_channels_as_rows_and_columns():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True))
    images = torch.randn(2, 3, 8, 8)
    check(vitprobe.features(model, images, ["0", "1"]), hooked(model, images, ["0", "1"]))


def test_by_default_where_stages_end(pictures):
    result = vitprobe.features("resnet20", "digits", index=[3, 5])
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(3)]
    assert list(result["layer"].values) == ["act1", *blocks]
    assert list(result["image"].values) == ["3", "5"]
    assert result["rows"].values.tolist() == [32] * 4 + [16] * 3 + [8] * 3
    assert (result["top"].isnull() | (result["top"] >= 0)).all(), "after the activation"


def test_what_is_no_map_has_a_reason(pictures):
    result = vitprobe.features("resnet20", pictures, ["layer3.2", "pool", "linear"])
    reasons = dict(zip(result["left_out"].values, result["left_out_reason"].values, strict=True))
    assert reasons == {
        "pool": "no map: it is pooled to one position",
        "linear": "no map: it has no token axis (a pooled vector)",
    }
    with pytest.raises(InputError, match="'linear': no map: it has no token axis"):
        vitprobe.features("resnet20", pictures, "linear")


def test_windows_are_left_out():
    swin = timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=56, window_size=7, depths=(1, 1, 1, 1)
    )
    layers = ["layers.0.blocks.0", "layers.0.blocks.0.attn.proj"]
    result = vitprobe.features(swin, torch.randn(1, 3, 56, 56), layers)
    assert list(result["layer"].values) == ["layers.0.blocks.0"]
    assert "windows" in result["left_out_reason"].item()


def test_many_images_go_in_several_forwards(monkeypatch):
    images = torch.randn(5, 3, 16, 24, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    model = InPlace()
    whole = vitprobe.features(model, images, ["bn1", "relu#2"])
    monkeypatch.setattr(import_module("vitprobe.analyses.features"), "BATCH", 2)
    parts = vitprobe.features(model, images, ["bn1", "relu#2"])
    assert (whole["top_channel"] == parts["top_channel"]).all()
    np.testing.assert_allclose(whole["top"], parts["top"], atol=1e-6)
    np.testing.assert_array_equal(whole["picture"], parts["picture"])


def test_what_is_not_finite_stays_and_is_named(pictures):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
    with torch.no_grad():
        model[1].bias[2] = torch.nan
        model[1].bias[1] = torch.inf
    result = vitprobe.features(model, pictures, ["0", "1"])
    assert list(result["blank"].values) == ["", "holds values that are not finite"]
    assert result["top_channel"].values[0, 1].tolist()[0] == 1, "infinity is strongest"
    assert result["top_channel"].values[0, 1].tolist()[-1] == 2, "NaN is weakest"
    assert np.isnan(result["top"].values[0, 1, -1]).all()


def test_precision_is_that_of_the_model(pictures):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()).double()
    result = vitprobe.features(model, pictures, "0")
    assert result["top"].dtype == np.float64
    rounded = vitprobe.features(model.float(), pictures, "0", precision="bf16")["top"]
    as_bf16 = torch.tensor(rounded.values).bfloat16().float().numpy()
    np.testing.assert_array_equal(rounded, as_bf16)


def test_filters_are_the_first_convolutions(pictures):
    model = InPlace()
    result = vitprobe.features(model, pictures, "relu")
    assert result.attrs["filters_of"] == "conv1"
    np.testing.assert_array_equal(result["filters"], model.conv1.weight.detach())
    result = vitprobe.features("vit", "digits", "blocks.0", index=0)
    assert result.attrs["filters_of"] == "patch_embed.proj"
    assert result["filters"].shape == (128, 3, 4, 4)


class Unfolded(nn.Module):
    """Patches without a convolution, four by six of them."""

    def __init__(self):
        super().__init__()
        self.unfold = nn.Unfold(4, stride=4)
        self.embed = nn.Linear(48, 8)
        self.act = nn.GELU()

    def forward(self, x):
        return self.act(self.embed(self.unfold(x).transpose(1, 2))).mean(1)


def test_patches_without_a_convolution(pictures):
    model = Unfolded()
    result = vitprobe.features(model, pictures, ["embed", "act"])
    assert "filters" not in result and "no convolution" in result.attrs["no_filters"]
    expected = {
        name: x.transpose(1, 2).unflatten(2, (4, 6))
        for name, x in hooked(model, pictures, ["embed", "act"]).items()
    }
    check(result, expected)


def test_a_model_without_blocks_shows_all_of_its_maps(pictures):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.warns(VitprobeWarning, match="no blocks: all of its maps"):
        result = vitprobe.features(model, pictures)
    assert list(result["layer"].values) == ["0", "1"]


def test_one_image_is_enough_and_the_result_survives_netcdf(tmp_path):
    for image in (torch.zeros(1, 3, 16, 24), torch.rand(1, 3, 16, 24)):
        result = vitprobe.features("resnet20", image, "blocks", top=2)
        result.to_netcdf(tmp_path / "features.nc", engine="h5netcdf")
        with xarray.open_dataset(tmp_path / "features.nc", engine="h5netcdf") as read:
            xarray.testing.assert_identical(read.load(), result)


def test_the_model_is_left_as_it_was(pictures):
    model = InPlace().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    vitprobe.features(model, pictures, "bn1")
    assert model.training and model.bn1.training
    assert not any(module._forward_hooks for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"index": 3}, "no image 3: there are 3, from 0 to 2"),
        ({"index": []}, "no image was chosen"),
        ({"layers": "bn2"}, "no layer matches 'bn2'.*did you mean 'bn1'"),
        ({"layers": "head"}, "no layer that was asked for is a map: 'head'"),
        ({"top": 0}, "top=0: give how many"),
        ({"top": True}, "give how many"),
    ],
)
def test_wrong_input_is_one_line(pictures, options, words):
    with pytest.raises(InputError, match=words) as caught:
        vitprobe.features(InPlace(), pictures, **options)
    assert "\n" not in str(caught.value)


def test_a_model_that_fails_on_the_size():
    with pytest.raises(InputError, match="vit fails on images of 3x30x32"):
        vitprobe.features("vit", torch.randn(2, 3, 30, 32))
