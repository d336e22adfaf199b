"""Receptive fields that are known, and those of real models against float64 by hand."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

import vitprobe
from vitprobe.errors import VitprobeWarning
from vitprobe.metrics.receptive_field import ZERO

NUMBERS = ("map", "centre", "centre_se", "r50", "r50_se", "r90", "r90_se", "area", "box")


class Blurs(nn.Sequential):
    """n mean filters of 3x3."""

    def __init__(self, n):
        super().__init__(*(nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(n)))
        for layer in self:
            nn.init.constant_(layer.weight, 1 / 9)


@pytest.mark.parametrize(
    ("n", "centre", "r50", "r90", "box", "masses"),
    [
        (5, 0.04404816, 5**0.5, 4.0, 11, (0.623228, 0.905705)),
        (10, 0.02298858, 10**0.5, 29**0.5, 21, (0.579815, 0.903532)),
        (20, 0.01171402, 18**0.5, 61**0.5, 41, (0.512930, 0.900971)),
    ],
)
def test_stacked_mean_filters(n, centre, r50, r90, box, masses):
    images = torch.rand(5, 1, 49, 49)
    result = vitprobe.receptive_field(Blurs(n), images, layers=str(n - 1))
    assert result["layer"].values.tolist() == [str(n - 1)]
    assert result["centre"].item() == pytest.approx(centre, abs=1e-8)
    assert result["r50"].item() == pytest.approx(r50, abs=1e-6)
    assert result["r90"].item() == pytest.approx(r90, abs=1e-6)
    assert result["box"].item() == box
    assert result["map"].sum().item() == pytest.approx(1, abs=1e-12)
    y, x = np.mgrid[:49, :49] - 24
    for name, mass in zip(("r50", "r90"), masses, strict=True):
        inside = np.hypot(y, x) <= result[name].item() + 1e-9
        assert result["map"].values[0][inside].sum() == pytest.approx(mass, abs=1e-6)
    assert (result["centre_se"].item(), result["r50_se"].item()) == pytest.approx((0, 0), abs=1e-9)
    assert result["map"].values[0][(abs(y) > n) | (abs(x) > n)].max() == 0


def by_hand(model, images, at, layer):
    """The map of a module's output at `at`, in float64, with a backward pass for each image."""
    held = []
    handle = model.get_submodule(layer).register_forward_hook(lambda *a: held.append(a[2]))
    whole = 0
    for image in images.double():
        x = image[None].clone().requires_grad_()
        model(x.clone())
        (gradient,) = torch.autograd.grad(at(held.pop()).mean(), x)
        whole = whole + gradient[0].abs().mean(0)
    handle.remove()
    return (whole / whole.sum()).numpy()


@pytest.mark.parametrize("name", ["vit", "resnet20"])
def test_maps_are_those_by_hand(name):
    model = vitprobe.load_model(f"{name}@digits").double()
    images = torch.randn(6, 3, 32, 32, dtype=torch.float64)
    result = vitprobe.receptive_field(model, images, layers="blocks", batch_size=4)
    for layer in result["layer"].values[[0, -1]]:
        if name == "vit":
            # as is said of a module that has its name as a residual sum, too
            expected = by_hand(model, images, lambda x: x[0, -64 + 4 * 8 + 4], layer)
        else:
            expected = by_hand(
                model, images, lambda x: x[0, :, x.shape[2] // 2, x.shape[3] // 2], layer
            )
        found = result["map"].sel(layer=layer).values
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


def test_finite_differences():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Tanh(), nn.Conv2d(4, 3, 3)).double()
    images = torch.randn(4, 3, 11, 9, dtype=torch.float64)
    result = vitprobe.receptive_field(model, images, layers="2")

    def value(x):
        y = model(x)
        return y[..., y.shape[2] // 2, y.shape[3] // 2].mean(1)

    expected = np.zeros((11, 9))
    with torch.no_grad():
        for row, column, channel in np.ndindex(11, 9, 3):
            step = torch.zeros(3, 11, 9, dtype=torch.float64)
            step[channel, row, column] = 1e-5
            slope = (value(images + step) - value(images - step)) / 2e-5
            expected[row, column] += slope.abs().sum()
    expected /= expected.sum()
    np.testing.assert_allclose(result["map"].values[0], expected, atol=1e-8)


def test_before_attention_there_is_one_patch():
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", img_size=(48, 80), depth=1)
    images = torch.rand(4, 3, 48, 80)
    layers = ["patch_embed", "blocks.0.norm1", "blocks.0.attn.qkv", "blocks.0"]
    with pytest.warns(VitprobeWarning, match="were given signs"):
        result = vitprobe.receptive_field(model, images, layers=layers)
    patch = np.zeros((48, 80), bool)
    patch[16:32, 32:48] = True  # of 3 x 5 patches the one at (1, 2)
    for layer in layers[:3]:
        assert ((result["map"].sel(layer=layer).values > 0) == patch).all(), layer
    assert (result["map"].sel(layer="blocks.0").values > 0).all()
    assert result["box"].values.tolist()[:3] == [16, 16, 16]
    assert np.isnan(result["box"].values[3]) and result["no_box"].values[3] == "attention"
    assert result["covers"].values.tolist() == ["", "", "", "covers the image"]
    assert result["channels"].values.tolist() == ["mean", "mean with signs", "mean", "mean"]
    assert result["point_row"].values.tolist() == [23.5] * 4
    assert result["point_col"].values.tolist() == [39.5] * 4
    assert (result["place_row"].values == 1).all() and (result["place_col"].values == 2).all()


def test_windows_of_channels_last_on_an_image_that_is_not_square():
    swin = torchvision.models.swin_transformer
    torch.manual_seed(0)
    model = swin.SwinTransformer([4, 4], 12, [2], [2], [4, 4], block=swin.SwinTransformerBlockV2)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):  # the mean of what one without weights gives is 0
            nn.init.normal_(module.weight)
    result = vitprobe.receptive_field(model, torch.rand(4, 3, 32, 64))
    assert (result["rows"].values == 8).all() and (result["columns"].values == 16).all()
    window = np.zeros((32, 64), bool)  # of 2 x 4 windows of 4 x 4 patches of 4 px the one at (1, 2)
    window[16:32, 32:48] = True
    assert ((result["map"].sel(layer="features.1.0").values > 0) == window).all()
    # the second block's windows begin 2 patches earlier, and each patch brings its own window
    rows, columns = (result["map"].sel(layer="features.1.1").values > 0).nonzero()
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 31, 16, 47)
    assert "attention" in result["no_box"].values[0]


def test_torchvisions_swin_v2_on_an_image_that_is_not_square():
    """Before the sum, since the norm at the end of a branch has weights of 1."""
    model, layers = vitprobe.load_model("torchvision:swin_v2_t"), ["features.1.0", "features.1.1"]
    with pytest.warns(VitprobeWarning, match="were given signs"):
        result = vitprobe.receptive_field(
            model, torch.rand(4, 3, 64, 96), layers=layers, residual="pre"
        )
    first, second = (
        result["map"].sel(layer=f"{layer}.attn").values > 0 for layer in layers
    )  # fmt: skip
    window = np.zeros((64, 96), bool)  # of 2 x 3 windows of 8 x 8 patches of 4 px that of (8, 12)
    window[32:, 32:64] = True
    assert (first == window).all()
    # the next windows begin 4 patches earlier: rows 4 to 11, columns 12 to 19, and their windows
    window[:, 32:] = True
    assert (second == window).all()
    assert (result["rows"] == 16).all() and (result["columns"] == 24).all()


def test_a_convolution_sees_a_box_and_no_more():
    torch.manual_seed(0)
    model = torchvision.models.resnet18()
    result = vitprobe.receptive_field(model, torch.rand(4, 3, 96, 128))
    assert result["box"].values[[0, -1]].tolist() == [27, 435]
    assert result["covers"].values[[0, -1]].tolist() == ["", "covers the image"]
    rows, columns = (result["map"].values[0] > 0).nonzero()
    assert (rows.min(), rows.max()) == (48 - 13, 48 + 13)
    assert (columns.min(), columns.max()) == (64 - 13, 64 + 13)


def test_dead_units_and_non_finite_gradients_say_so():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1))
    nn.init.constant_(model[0].bias, -100)
    with pytest.warns(VitprobeWarning, match="2 of 3 layers have no value"):
        result = vitprobe.receptive_field(model, torch.rand(4, 1, 9, 9), layers=["0", "1", "2"])
    assert result["blank"].values.tolist() == ["", ZERO, ZERO]
    for name in NUMBERS[:-1]:
        assert result[name].isel(layer=[1, 2]).isnull().all(), name
        assert result[name].isel(layer=0).notnull().all(), name

    class Root(nn.Module):
        def forward(self, x):
            return x.abs().sqrt()

    images = torch.rand(8, 1, 5, 5) + 0.1
    images[5, 0, 2, 2] = 0
    model = nn.Sequential(nn.Conv2d(1, 1, 1), Root())
    nn.init.ones_(model[0].weight), nn.init.zeros_(model[0].bias)
    with pytest.warns(VitprobeWarning, match="1 of 1 layers have no value"):
        result = vitprobe.receptive_field(model, images, layers="1", batch_size=4)
    assert result["blank"].values.tolist() == ["non-finite gradients (first in batch 1)"]


class Block(nn.Module):
    """z + f(z) whose two branches see other pixels: f the row above, z its own."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.more = nn.Conv2d(2, 2, 1, bias=False)
        nn.init.zeros_(self.conv.weight)
        self.conv.weight.data[0, 0, 0, 1] = 1

    def forward(self, x):
        return x + self.more(self.conv(x))


def test_before_and_after_a_residual_sum():
    torch.manual_seed(0)
    model = nn.Sequential(Block())
    images = torch.rand(4, 2, 7, 7)
    post = vitprobe.receptive_field(model, images)["map"].values[0] > 0
    pre = vitprobe.receptive_field(model, images, residual="pre")
    assert np.argwhere(post).tolist() == [[2, 3], [3, 3]]
    assert np.argwhere(pre["map"].values[0] > 0).tolist() == [[2, 3]]
    assert (pre["layer"].item(), pre["kind"].item(), pre.attrs["residual"]) == ("0", "block", "pre")


def test_sublayers_of_a_transformer_and_twins():
    result = vitprobe.receptive_field("vit@digits", examples=4)
    names = result["layer"].values.tolist()
    assert names[:3] == ["blocks.0.attn", "blocks.0.mlp", "blocks.0"] and len(names) == 18
    assert result["kind"].values.tolist()[:3] == ["attention", "mlp", "block"]
    assert result["twin"].values.tolist()[:3] == ["", "", "blocks.0.mlp"]
    np.testing.assert_array_equal(result["map"].values[1], result["map"].values[2])
    pre = vitprobe.receptive_field("vit@digits", examples=4, residual="pre", layers="blocks.0")
    assert pre["layer"].values.tolist() == ["blocks.0.attn", "blocks.0.mlp"]
    one = vitprobe.receptive_field("vit@digits", examples=4, layers="blocks.0.attn")
    np.testing.assert_allclose(one["map"].values[0], result["map"].values[0], rtol=1e-6)


def test_conventions_of_others():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 4, 3, padding=1))
    images = torch.randn(5, 3, 10, 8)

    def gradient(at, value):
        x = images.clone().requires_grad_()
        return torch.autograd.grad(value(model(x)[..., at[0], at[1]]).sum(), x)[0]

    replknet = gradient((5, 4), torch.relu).relu().sum((0, 1))
    openerf = gradient((4, 3), lambda x: x.mean(1)).mean(1).relu().sum(0)
    for name, expected in (("replknet", replknet), ("openerf", openerf)):
        result = vitprobe.receptive_field(model, images, layers="2", convention=name)
        expected = (expected / expected.sum()).numpy()
        np.testing.assert_allclose(result["map"].values[0], expected, rtol=1e-4, atol=1e-7)
        assert ("square" in result) == (name == "replknet")
    assert (result["point_row"].item(), result["point_col"].item()) == (4, 3)
    result = vitprobe.receptive_field(model, images, layers="2", convention="replknet")
    assert result["square"].sel(share=[0.2, 0.99]).values.tolist() == [[3, 5]]


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients(context):
    torch.manual_seed(0)
    model, images = nn.Sequential(Block()).requires_grad_(False), torch.rand(4, 2, 7, 7)
    usual = vitprobe.receptive_field(model, images)["map"]
    with context():
        result = vitprobe.receptive_field(model, images)["map"]
    np.testing.assert_array_equal(result.values, usual.values)
    assert not any(each.requires_grad for each in model.parameters())
