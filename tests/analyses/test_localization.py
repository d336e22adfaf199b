"""CKA of tokens with patches: models that copy, shuffle or blur patches, float64, names, blanks."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from brute_force import cka as direct_cka
from torch import nn

import vitprobe
from vitprobe.analyses.localization_places import MOST_TOKENS
from vitprobe.errors import InputError, VitprobeWarning

BATCH = 25
NUMBERS = ("own_place", "mean_distance", "own_place_chance", "mean_distance_chance", "counted")


def pixels(count=100, height=32, width=32, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


class Copies(nn.Module):
    """Each token is a patch of 8 px, or where `order` is given another one; `cls` in front."""

    def __init__(self, order=None, cls=False, features_first=False):
        super().__init__()
        self.embed = nn.Conv2d(3, 192, 8, 8, bias=False)
        self.embed.weight.data = torch.eye(192).reshape(192, 3, 8, 8)
        self.order, self.features_first = order, features_first
        if cls:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, 192))
        self.blocks = nn.ModuleList([nn.Identity()])

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        if self.order is not None:
            x = x[:, self.order]
        if hasattr(self, "cls_token"):
            x = torch.cat([x.mean(1, keepdim=True) + self.cls_token, x], 1)
        return self.blocks[0](x.transpose(0, 1) if self.features_first else x).mean(1)


def patch_of(images, row, col, side=8):
    return images[:, :, row * side : (row + 1) * side, col * side : (col + 1) * side]


def unfolded(result, name="cka"):
    """(tokens, patches), row by row."""
    values = result[name].transpose("token_row", "token_col", "row", "col").values
    return values.reshape(values.shape[0] * values.shape[1], -1)


def assert_no_more_than_chance(result, pairs):
    """Of values that are truly 0 none is far from it, in standard errors of few batches."""
    far = np.abs(unfolded(result)[pairs]) / unfolded(result, "cka_se")[pairs]
    assert np.abs(unfolded(result)[pairs]).max() < 0.05 and (far < 3).mean() > 0.95
    assert np.abs(unfolded(result)[pairs].mean()) < 3e-3


def test_a_model_that_copies_patches():
    result = vitprobe.localization(Copies(), pixels(400), batch_size=50)
    own = np.eye(16, dtype=bool)
    np.testing.assert_allclose(unfolded(result)[own], 1, atol=1e-6)
    assert_no_more_than_chance(result, ~own)
    assert [result[name].item() for name in NUMBERS[:3]] == [1, 0, 1 / 16]
    assert result["counted"] == 16 and result["mean_distance"].attrs["units"] == "patches"
    assert dict(result.sizes) == dict.fromkeys(("token_row", "token_col", "row", "col"), 4)
    assert (result.attrs["layer"], result.attrs["patch_height"]) == ("blocks.0", 8)
    assert (result["blank_token"] == "").all() and (result["blank_patch"] == "").all()


@pytest.mark.parametrize("shape", [(32, 32), (16, 48)])
def test_a_model_that_shuffles_patches(shape):
    """Also where rows and columns are not as many."""
    rows, columns = shape[0] // 8, shape[1] // 8
    order = torch.randperm(rows * columns, generator=torch.Generator().manual_seed(3))
    result = vitprobe.localization(Copies(order), pixels(200, *shape), batch_size=50)
    assert [result.sizes[dim] for dim in ("token_row", "token_col")] == [rows, columns]
    found = unfolded(result)
    assert found.argmax(1).tolist() == order.tolist()
    np.testing.assert_allclose(found.max(1), 1, atol=1e-6)
    places = np.array([divmod(k, columns) for k in range(rows * columns)])
    moved = np.hypot(*(places - places[order.numpy()]).T)
    assert result["mean_distance"] == pytest.approx(moved.mean())
    assert result["own_place"] == pytest.approx((moved == 0).mean())
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    assert result["mean_distance_chance"] == pytest.approx(apart.mean())


def test_as_float64_says_on_a_real_transformer():
    torch.manual_seed(0)
    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}
    model = timm.models.VisionTransformer(**sizes, num_classes=5, reg_tokens=2).eval()
    images = pixels(60, 16, 16) + pixels(60, 1, 1, seed=1)  # patches are alike
    with torch.no_grad():
        kept = model.forward_intermediates(images, output_fmt="NLC", return_prefix_tokens=True)[1]
        kept = [torch.cat([prefix, patches], 1) for patches, prefix in kept]
    for layer, block in ((None, 1), ("blocks.0", 0)):
        result = vitprobe.localization(model, images, layer, batch_size=20)
        assert result.attrs["layer"] == f"blocks.{block}" and result.attrs["prefix"] == 3
        for row, col, other in ((0, 0, (0, 0)), (1, 3, (2, 2)), (3, 1, (3, 1))):
            token = kept[block][:, 3 + 4 * row + col].numpy()
            patch = patch_of(images, *other, side=4).numpy()
            at = {"token_row": row, "token_col": col, "row": other[0], "col": other[1]}
            expected = direct_cka(token, patch, 20)
            assert result["cka"].sel(at).item() == pytest.approx(expected, abs=2e-6)
        expected = direct_cka(kept[block][:, 0].numpy(), patch_of(images, 2, 1, 4).numpy(), 20)
        assert result["cka_cls"].sel(row=2, col=1).item() == pytest.approx(expected, abs=2e-6)
    assert result["blank_cls"] == "" and result.attrs["se_df"] == 2
    assert (result["cka_se"] > 0).all() and (result["cka_cls_se"] > 0).all()


def test_the_class_token_has_a_map_of_its_own():
    result = vitprobe.localization(Copies(cls=True), pixels(200), batch_size=50)
    assert result["own_place"] == 1 and result.attrs["prefix"] == 1
    assert result["cka_cls"].dims == result["cka_cls_se"].dims == ("row", "col")
    assert (result["cka_cls"] > 0.03).all() and (result["cka_cls"] < 0.6).all()
    assert "cka_cls" not in vitprobe.localization(Copies(), pixels(40), batch_size=20)


def test_chosen_tokens():
    images = pixels(40)
    every = vitprobe.localization(Copies(cls=True), images, batch_size=20)
    for chosen in ([(0, 1), (3, 2), (0, 1)], "3,2;0,1"):
        some = vitprobe.localization(Copies(cls=True), images, tokens=chosen, batch_size=20)
        assert some["token_row"].values.tolist() == [0, 3]
        assert some["token_col"].values.tolist() == [1, 2]
        for row, col in ((0, 1), (3, 2)):
            at = {"token_row": row, "token_col": col}
            for name in ("cka", "cka_se"):
                np.testing.assert_allclose(some[name].sel(at), every[name].sel(at), atol=1e-12)
            assert some["blank_token"].sel(at) == ""
        left = some["cka"].sel(token_row=0, token_col=2)
        assert left.isnull().all() and left["blank_token"] == "not asked for"
        assert some["counted"] == 2 and some["own_place"] == 1
        assert some["cka_cls"].identical(every["cka_cls"])


@pytest.mark.parametrize("tokens", ["1", "0,0;", "0;0", [1, 2], [], 5, [(0.5, 1)], [(0, 1, 2)]])
def test_tokens_that_are_none(tokens):
    with pytest.raises(InputError, match="tokens takes rows and columns of tokens such as 0,0;2,3"):
        vitprobe.localization(Copies(), pixels(8), tokens=tokens)


@pytest.mark.parametrize("place", [(4, 0), (0, 4), (-1, 0)])
def test_tokens_that_are_not_there(place):
    with pytest.raises(InputError, match=r"blocks.0 has no token .* 4 x 4, counted from 0,0"):
        vitprobe.localization(Copies(), pixels(8), tokens=[place])


def test_blank_patches_have_a_reason_and_their_tokens_do_not_count():
    images = pixels(80)
    images[:, :, :8, :8] = 0.5  # one patch is the same in every image
    with pytest.warns(VitprobeWarning, match="1 of 16 patches are blank .constant pixels.*the 1 t"):
        result = vitprobe.localization(Blurs(), images, batch_size=20)
    assert result["cka"].sel(row=0, col=0).isnull().all()
    assert result["blank_patch"].values.ravel().tolist() == ["constant pixels"] + [""] * 15
    assert (result["blank_token"] == "").all() and result["counted"] == 15
    assert result["cka"].sel(token_row=0, token_col=0, row=1, col=1).notnull()
    assert result["own_place"] == 1 and "do not count" in result.attrs["notes"]
    assert result["own_place_chance"] == pytest.approx(1 / 15)


class Blurs(Copies):
    """Every token has a little of all patches."""

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        return self.blocks[0](x + 0.3 * x.mean(1, keepdim=True)).mean(1)


def test_blank_tokens():
    """A token of a constant patch is blank like it, and only the rest counts."""
    images = pixels(80)
    images[:, :, :8, :8] = 0.5
    with pytest.warns(VitprobeWarning, match="patches are blank"):
        result = vitprobe.localization(Copies(), images, batch_size=20)
    assert result["blank_token"].values.ravel().tolist() == ["constant activations"] + [""] * 15
    assert result["cka"].sel(token_row=0, token_col=0).isnull().all() and result["counted"] == 15


def test_no_patch_with_a_value():
    """All that differs between images lies where no patch of the embedding is."""
    images = torch.ones(40, 3, 30, 30)
    images[:, :, 24:] = pixels(40, 6, 30)
    with pytest.warns(VitprobeWarning, match="9 of 9 patches are blank"):
        result = vitprobe.localization(Copies(), images, batch_size=20)
    assert result["cka"].isnull().all() and result["counted"] == 0
    assert all(result[name].isnull() for name in NUMBERS[:4])


def test_non_finite_images():
    images = pixels(60)
    images[30, 0, 9, 9] = torch.nan
    with pytest.warns(VitprobeWarning, match=r"1 of 16 patches are blank .non-finite values"):
        result = vitprobe.localization(Copies(), images, batch_size=20)
    assert result["blank_patch"].sel(row=1, col=1) == "non-finite values (first in batch 1)"
    assert result["blank_token"].sel(token_row=1, token_col=1).item().startswith("non-finite")


def test_a_layer_that_does_not_fire():
    class Sometimes(Copies):
        def forward(self, x):
            return super().forward(x) if len(x) != 20 else self.embed(x)

    result = vitprobe.localization(Sometimes(), pixels(52), batch_size=16)
    assert result["own_place"] == 1
    result = vitprobe.localization(Sometimes(), pixels(52), batch_size=20)
    assert (result["blank_token"] == "did not fire in batch 0").all()
    assert result["cka"].isnull().all() and result["own_place"].isnull()


def test_one_batch_has_no_error_bars():
    with pytest.warns(VitprobeWarning, match="one batch only"):
        result = vitprobe.localization(Copies(), pixels(20), batch_size=20)
    assert result["cka_se"].isnull().all() and result["own_place"] == 1


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


def test_a_trained_resnet20_is_local_at_the_edge_only():
    data = Path(vitprobe.__file__).parents[2] / "shared" / "data"
    import os

    data = Path(os.environ.get("VITPROBE_TEST_DATA", data))
    weights, images = data / "resnet20-12fca82f.th", data / "cifar10-test1000.npz"
    if not weights.exists():
        pytest.skip(f"{weights} is not there")
    result = vitprobe.localization(
        f"resnet20@{weights}", f"npz:{images}", examples=250, batch_size=50
    )
    assert result.attrs["layer"] == "layer3.2" and result.sizes["row"] == 8
    local = result["cka"].values[np.arange(8), np.arange(8), np.arange(8), np.arange(8)]
    assert local[[0, 7]].min() > 0.04 and local[2:6].max() < 0.08
    assert 0 < result["own_place"] < 0.4 and result["mean_distance"] > 1
