"""CKA of tokens with patches: models that copy, shuffle or blur patches, float64, names, blanks."""

import numpy as np
import pytest
import timm
import torch
from brute_force import cka as direct_cka
from copies import Copies, patch_of, pixels, unfolded

import vitprobe
from vitprobe.errors import InputError, VitprobeWarning

NUMBERS = ("own_place", "mean_distance", "own_place_chance", "mean_distance_chance", "counted")


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


def test_a_trained_resnet20_is_local_at_the_edge_only(real_data):
    model = vitprobe.load_model(f"resnet20@{real_data / 'resnet20-12fca82f.th'}").eval()
    images = np.load(real_data / "cifar10-test1000.npz")["images"][:250] / 255
    images = (images - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    images = torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous()
    kept = []
    handle = model.layer3[2].register_forward_hook(lambda m, a, out: kept.append(out.clone()))
    with torch.no_grad():
        model(images)
    handle.remove()
    result = vitprobe.localization(model, images, batch_size=50)
    assert result.attrs["layer"] == "layer3.2" and result.sizes["row"] == 8
    for row, col, other in ((0, 0, (0, 0)), (3, 5, (3, 5)), (7, 2, (1, 6))):
        expected = direct_cka(
            kept[0][:, :, row, col].numpy(), patch_of(images, *other, 4).numpy(), 50
        )
        found = result["cka"].sel(token_row=row, token_col=col, row=other[0], col=other[1])
        assert found.item() == pytest.approx(expected, abs=1e-6)
    own = result["cka"].values[np.arange(8), np.arange(8), np.arange(8), np.arange(8)]
    assert own[[0, 7]].min() > 0.04 and own[2:6].max() < 0.08
    assert 0 < result["own_place"] < 0.4 and result["mean_distance"] > 1
