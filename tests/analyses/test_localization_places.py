"""Which tokens are compared with which pixels: layouts, grids, cuts, and what has none."""

import numpy as np
import pytest
import timm
import torch
from brute_force import cka as direct_cka
from copies import Copies, pixels, unfolded
from torch import nn

import vitprobe
from vitprobe.analyses.localization_places import MOST_TOKENS
from vitprobe.errors import InputError

BATCH = 25


class Sites(nn.Module):
    """One activation, laid out in one of the ways that models have."""

    def __init__(self, layout):
        super().__init__()
        self.embed, self.layout, self.last = Copies().embed, layout, nn.Identity()

    def forward(self, x):
        x = self.embed(x)  # (n, 192, 4, 4)
        if self.layout == "channels last":
            x = x.permute(0, 2, 3, 1).contiguous()
        elif self.layout == "sequence first":
            x = x.flatten(2).permute(2, 0, 1).contiguous()
        elif self.layout == "features first":
            x = x.flatten(2)
        elif self.layout == "heads":
            x = x.flatten(2).transpose(1, 2).unflatten(2, (3, 64)).transpose(1, 2)
        return self.last(x)


@pytest.mark.parametrize(
    "layout", ["map", "channels last", "sequence first", "features first", "heads"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_layout_of_tokens(layout, dtype):
    images = pixels(100).to(dtype)
    result = vitprobe.localization(Sites(layout).to(dtype), images, "last", batch_size=BATCH)
    np.testing.assert_allclose(np.diag(unfolded(result)), 1, atol=1e-6)
    assert result["own_place"] == 1 and result.attrs["prefix"] == 0


def test_without_a_convolution_the_grid_decides():
    class Unfolds(nn.Module):
        def __init__(self):
            super().__init__()
            self.cut = nn.Unfold(8, stride=8)

        def forward(self, x):
            return self.cut(x).transpose(1, 2)

    result = vitprobe.localization(Unfolds(), pixels(60), batch_size=20)
    assert result["own_place"] == 1 and result.sizes["token_row"] == 4
    result = vitprobe.localization(Unfolds(), pixels(60), "cut", grid=(4, 4), batch_size=20)
    assert result["own_place"] == 1


class Strides(nn.Module):
    """The first pixel of each place, and no blocks."""

    def __init__(self, stride):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1, stride, bias=False)
        self.first.weight.data = torch.eye(3)[:, :, None, None]
        self.then, self.pool = nn.ReLU(), nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        return self.pool(self.then(self.first(x))).flatten(1)


def test_maps_are_cut_into_equal_parts():
    """Of 30 px a map of 4 x 4 has parts of 7 and 8, at the nearest whole pixels."""
    images = pixels(400, 30, 22)
    result = vitprobe.localization(Strides(8), images, batch_size=100)
    assert result.attrs["layer"] == "then" and result["own_place"] == 1
    assert result.attrs["patch_height"] == 7.5
    assert result.attrs["patch_width"] == pytest.approx(22 / 3)
    patch, token = images[:, :, 8:15, 15:22].numpy(), images[:, :, 8, 16].relu().numpy()
    found = result["cka"].sel(token_row=1, token_col=2, row=1, col=2).item()
    assert found == pytest.approx(direct_cka(token, patch, 100), abs=1e-6) and found > 0.05


def test_patches_are_cut_as_the_embedding_cuts_them():
    """Of 30 px it sees 24 in three patches; the last 6 are in none."""
    images = pixels(60, 30, 30)
    result = vitprobe.localization(Copies(), images, batch_size=20)
    assert result.sizes["row"] == 3 and result.attrs["patch_height"] == 8
    np.testing.assert_allclose(np.diag(unfolded(result)), 1, atol=1e-6)


def test_a_single_place_is_refused():
    model = timm.create_model("resnet10t", num_classes=5).eval()
    with pytest.raises(InputError, match=r"layer4.0 has a single token.*layer='layer3.0'"):
        vitprobe.localization(model, pixels(20), batch_size=10)
    assert vitprobe.localization(model, pixels(20), "layer3.0", batch_size=10).sizes["row"] == 2


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("output", "output has no tokens to look at: it has no token axis"),
        ("blocks.7", "unknown layer|no layer matches 'blocks.7'"),
        ("*", "'\\*' is [0-9]+ layers, from embed on: name one"),
    ],
)
def test_layers_that_cannot_be_had(layer, words):
    with pytest.raises(InputError, match=words) as error:
        vitprobe.localization({"mine": Copies()}, pixels(20), layer, batch_size=10)
    assert str(error.value).startswith("mine: ")


def test_a_model_without_tokens():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8))
    with pytest.raises(InputError, match="no layer with tokens to look at: it has no token axis"):
        vitprobe.localization(model, pixels(20), batch_size=10)


def test_too_many_tokens_must_be_chosen():
    images, side = pixels(8, 192, 192), 48
    assert side**2 > MOST_TOKENS
    with pytest.raises(InputError, match=r"2,304 tokens, more than the 2,048.*tokens='0,0;24,24'"):
        vitprobe.localization(Strides(4), images, "first", batch_size=4)
    some = vitprobe.localization(
        Strides(4), images[:, :, ::2, ::2], "first", tokens=[(0, 0), (3, 3)], batch_size=4
    )
    assert some["cka"].shape == (2, 2, 24, 24)


def test_windows_are_refused_and_hierarchies_are_not():
    model = timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=64, window_size=2, depths=(1, 1, 1, 1),
        embed_dim=24, num_classes=5,
    ).eval()  # fmt: skip
    result = vitprobe.localization(model, pixels(20, 64, 64), batch_size=10)
    assert result.attrs["layer"] == "layers.3.blocks.0" and result.sizes["token_row"] == 2
    assert result.attrs["patch_height"] == 32
    with pytest.raises(InputError, match="windows or heads"):
        vitprobe.localization(model, pixels(20, 64, 64), "layers.0.blocks.0.attn", batch_size=10)
