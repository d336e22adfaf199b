"""Where tokens lie: what models state, what convolution and token count say, what is given."""

import numpy as np
import pytest
import torch
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer as TorchvisionViT

from vitprobe.errors import InputError
from vitprobe.ops.reference_attention import patch_distances
from vitprobe.taps.token_grid import TokenGrid, token_grid


def timm_vit(**options):
    return VisionTransformer(embed_dim=8, depth=1, num_heads=1, **options)


class Convolution(nn.Module):
    """Patches by a convolution, and what the caller adds; states nothing else."""

    def __init__(self, patch, **tensors):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, patch, patch)
        for name, shape in tensors.items():
            setattr(self, name, nn.Parameter(torch.zeros(shape)))


class Stated(nn.Module):
    """A module with attributes, and children by path."""

    def __init__(self, children=(), **attributes):
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)
        for name, child in children:
            self.add_module(name, child)


@pytest.mark.parametrize(
    ("grid", "distance"),
    [
        ((14, 14, 1, 16, 16), 116.4922),
        ((16, 16, 1, 14, 14), 116.5651),
        ((7, 7, 0, 32, 32), 115.5029),
        ((28, 28, 0, 8, 8), 116.7216),
        ((8, 8, 0, 4, 4), 16.545931),
        ((4, 4, 0, 8, 8), 16.064120),
        ((12, 12, 5, 4, 4), 24.938230),
    ],
)
def test_uniform_attention_of_known_grids(grid, distance):
    assert TokenGrid(*grid).uniform()["distance"] == pytest.approx(distance, abs=1e-4)


def test_uniform_attention_with_a_class_token():
    uniform = TokenGrid(14, 14, 1, 16, 16).uniform()
    assert uniform["distance_raw"] == pytest.approx(115.9009, abs=1e-4)
    assert uniform["patch_mass"] == pytest.approx(196 / 197)
    assert uniform["entropy"] == pytest.approx(np.log(197))


def test_uniform_attention_of_oblong_patches():
    expected = patch_distances(3, 5, 4.0, 7.0).mean().item()
    assert TokenGrid(3, 5, 0, 4, 7).uniform()["distance"] == pytest.approx(expected, rel=1e-12)


def test_timm():
    square = timm_vit(img_size=32, patch_size=4)
    assert token_grid(square, 65, (32, 32)) == TokenGrid(8, 8, 1, 4, 4)
    oblong = timm_vit(img_size=(32, 48), patch_size=(4, 8), reg_tokens=4)
    assert token_grid(oblong, 53, (32, 48)) == TokenGrid(8, 6, 5, 4, 8)
    headless = timm_vit(img_size=32, patch_size=8, class_token=False, global_pool="avg")
    assert token_grid(headless, 16, (32, 32)) == TokenGrid(4, 4, 0, 8, 8)


def test_timm_at_another_image_size():
    model = timm_vit(img_size=32, patch_size=4, dynamic_img_size=True)
    assert token_grid(model, 1 + 4 * 6, (16, 24)) == TokenGrid(4, 6, 1, 4, 4)


def test_pixels_that_no_patch_covers():
    assert token_grid(Convolution(16), 14 * 14, (225, 230)) == TokenGrid(14, 14, 0, 16, 16)
    padded = Stated(patch_size=16)
    assert token_grid(padded, 15 * 14, (225, 224)) == TokenGrid(15, 14, 0, 16, 16)


def test_a_stem_before_the_patches():
    stem = Stated([("patch_embed", Stated(img_size=(64, 64), grid_size=(4, 4), patch_size=(1, 1)))])
    assert token_grid(stem, 16, (64, 64)) == TokenGrid(4, 4, 0, 16, 16)


def test_a_stem_of_convolutions():
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1))
    assert token_grid(stem, 14 * 14, (56, 56)) == TokenGrid(14, 14, 0, 4, 4)
    assert token_grid(stem, 4 * 4, (56, 56)) == TokenGrid(4, 4, 0, 16, 16)  # of 7 x 7, not of 56 px
    assert token_grid(stem, 7 * 7, (56, 56), grid=(7, 7)) == TokenGrid(7, 7, 0, 8, 8)


def test_patches_that_overlap():
    overlapping = nn.Conv2d(3, 8, 16, 8)
    assert token_grid(overlapping, 27 * 27, (224, 224)) == TokenGrid(27, 27, 0, 8, 8)


def test_tokens_in_another_order():
    class Unroll(nn.Module):
        pass

    with pytest.raises(InputError, match="not in the order of the image"):
        token_grid(nn.Sequential(nn.Conv2d(3, 8, 4, 4), Unroll()), 64, (32, 32))


def test_torchvision():
    model = TorchvisionViT(32, 8, 1, 1, 8, 8, num_classes=2)
    assert token_grid(model, 17, (32, 32)) == TokenGrid(4, 4, 1, 8, 8)


def test_hugging_face():
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    small |= {"intermediate_size": 8, "image_size": 32, "patch_size": 8}
    vit = transformers.ViTModel(transformers.ViTConfig(**small))
    assert token_grid(vit, 17, (32, 32)) == TokenGrid(4, 4, 1, 8, 8)
    deit = transformers.DeiTModel(transformers.DeiTConfig(**small))
    assert token_grid(deit, 18, (32, 32)) == TokenGrid(4, 4, 2, 8, 8)
    config = transformers.Dinov2WithRegistersConfig(**small, num_register_tokens=4)
    dino = transformers.Dinov2WithRegistersModel(config)
    assert token_grid(dino, 21, (32, 32)) == TokenGrid(4, 4, 5, 8, 8)


def test_a_convolution_and_special_parameters():
    assert token_grid(Convolution(8), 16, (32, 32)) == TokenGrid(4, 4, 0, 8, 8)
    model = Convolution(8, cls_token=(1, 1, 8), registers=(1, 3, 8), pos=(1, 20, 8))
    assert token_grid(model, 17, (32, 32)) == TokenGrid(4, 4, 1, 8, 8)
    unknown = Convolution(8, summary=(1, 2, 8))  # a name that says nothing: the count does
    assert token_grid(unknown, 18, (32, 32)) == TokenGrid(4, 4, 2, 8, 8)


def test_square_patches_that_tile_the_image():
    unfolded = nn.Linear(49, 8)
    assert token_grid(unfolded, 16, (28, 28)) == TokenGrid(4, 4, 0, 7, 7)
    assert token_grid(unfolded, 8, (14, 28)) == TokenGrid(2, 4, 0, 7, 7)


def swin():
    return SwinTransformer(
        img_size=64, patch_size=4, window_size=4, embed_dim=8, depths=(1, 1, 1), num_heads=(1, 2, 4)
    )


def test_windows_of_a_hierarchy():
    model = swin()
    for stage, windows, patch in ((0, 16, 4), (1, 4, 8), (2, 1, 16)):
        module = f"layers.{stage}.blocks.0.attn"
        found = token_grid(model, 16, (64, 64), windows=windows, module=module)
        assert found == TokenGrid(4, 4, 0, patch, patch)


def test_windows_that_are_not_square_and_need_padding():
    model = Stated(
        [("embed", nn.Conv2d(3, 8, 4, 4)), ("attn", Stated([("qkv", nn.Identity())]))],
        window_size=(3, 5),
    )
    found = token_grid(model, 15, (32, 32), windows=6, module="attn.qkv#2")
    assert found == TokenGrid(3, 5, 0, 4, 4)


def test_stages_without_windows():
    model = Convolution(4)
    for side, patch in ((16, 4), (8, 8), (4, 16)):
        assert token_grid(model, side**2, (64, 64)) == TokenGrid(side, side, 0, patch, patch)


def test_what_is_given_comes_first():
    model = timm_vit(img_size=32, patch_size=4)
    assert token_grid(model, 65, (32, 32), grid=(8, 8)) == TokenGrid(8, 8, 1, 4, 4)
    given = {"grid": (4, 16), "patch_size": (8, 2)}
    assert token_grid(model, 65, (32, 32), **given) == TokenGrid(4, 16, 1, 8, 2)
    assert token_grid(nn.Linear(2, 2), 21, (32, 64), grid=(4, 4), prefix=5) == TokenGrid(
        4, 4, 5, 8, 16
    )
    assert token_grid(nn.Linear(2, 2), 33, (32, 64), patch_size=8, prefix=1) == TokenGrid(
        4, 8, 1, 8, 8
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"grid": (5, 5)}, "its patches of 4 x 4 px make 8 x 8 of 32 x 32 px"),
        ({"grid": (5, 5), "patch_size": 6}, "a grid of 5 x 5 patches behind 1 other tokens is not"),
        ({"prefix": 2}, "the 65 tokens of blocks.0.attn"),
        ({"patch_size": 8}, "grid .*prefix .*patch_size"),
        ({"grid": (8, 0)}, "two positive whole numbers"),
        ({"grid": (8,)}, "two positive whole numbers"),
        ({"prefix": -1}, "must not be negative"),
        ({"patch_size": 0}, "positive"),
    ],
)
def test_what_cannot_be(options, words):
    model = timm_vit(img_size=32, patch_size=4)
    with pytest.raises(InputError, match=words) as refused:
        token_grid(model, 65, (32, 32), module="blocks.0.attn", **options)
    assert "\n" not in str(refused.value)


def test_what_cannot_be_told_names_the_options():
    prompted = Convolution(8, cls_token=(1, 1, 8), prompt=(1, 5, 8))
    for model, tokens in ((nn.Linear(2, 2), 17), (Convolution(8), 40), (prompted, 22)):
        with pytest.raises(InputError, match="give grid .*prefix .*patch_size"):
            token_grid(model, tokens, (32, 32))
    with pytest.raises(InputError, match="does not divide 32 x 32 px: give patch_size"):
        token_grid(nn.Linear(2, 2), 9, (32, 32), grid=(3, 3))


def test_parts_that_are_no_windows():
    model = Convolution(4)
    model.attn = Stated(window_size=4, partition_block=False)  # MaxViT's grid attention
    with pytest.raises(InputError, match="where the 16 tokens of one lie cannot be told"):
        token_grid(model, 16, (64, 64), windows=16, module="attn")
    model.other = Stated()
    with pytest.raises(InputError, match="within 16 parts"):
        token_grid(model, 16, (64, 64), windows=16, module="other")
    model.attn.partition_block = True
    with pytest.raises(InputError, match="no grid of the model can have"):
        token_grid(model, 16, (64, 64), windows=15, module="attn")
