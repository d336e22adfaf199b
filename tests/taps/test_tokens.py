"""Class token, patches and mean are cut out of the right axis, or not at all."""

import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vitprobe.errors import InputError
from vitprobe.taps import capture, select, survey
from vitprobe.taps.tokens import TokenReader, TokenView, select_tokens, why_no_tokens


def read(model, table, tokens, images):
    found = {}
    selection = select(table, "modules", tokens)
    with capture(model, selection.sites, lambda s, x, t: found.update({s.name: x.clone()}), tokens):
        model(images)
    return found, selection.left_out


def readings(model, size, *tokens):
    torch.manual_seed(0)
    images = torch.randn(4, 3, *size)
    table = survey(model, images)
    return [read(model, table, word, images) for word in tokens]


EVERY = ("all", "cls", "patches", "mean")


@pytest.mark.parametrize(
    "name, kwargs, size, prefix",
    [
        ("vit_tiny_patch16_224", {"img_size": (32, 48), "patch_size": 8}, (32, 48), 1),
        ("deit_tiny_distilled_patch16_224", {"img_size": 32, "patch_size": 8}, (32, 32), 2),
        ("vit_small_patch14_reg4_dinov2", {"img_size": 28}, (28, 28), 5),
    ],
)
def test_vit_tokens_are_class_then_registers_then_patches(name, kwargs, size, prefix):
    model = timm.create_model(name, depth=1, num_classes=3, **kwargs)
    (whole, _), (cls, no_cls), (patches, no_patches), (mean, no_mean) = readings(
        model, size, *EVERY
    )
    for block in ("blocks.0", "blocks.0.mlp.fc1", "norm"):
        x = whole[block]
        assert torch.equal(cls[block], x[:, 0])
        assert torch.equal(patches[block], x[:, prefix:])
        torch.testing.assert_close(mean[block], x[:, prefix:].mean(1))
    heads = "blocks.0.attn.q_norm"  # (n, H, T, d)
    assert torch.equal(cls[heads], whole[heads][:, :, 0])
    assert torch.equal(patches[heads], whole[heads][:, :, prefix:])
    # Before the class token there are only patches: a map, then a sequence.
    grid = whole["patch_embed.proj"]
    assert torch.equal(patches["patch_embed.proj"], grid)
    torch.testing.assert_close(mean["patch_embed.proj"], grid.mean((2, 3)))
    torch.testing.assert_close(mean["patch_embed"], grid.mean((2, 3)))
    assert "no class token" in no_cls["patch_embed"]
    # A pooled vector is its own mean, and has neither a class token nor patches.
    assert torch.equal(mean["output"], whole["output"])
    assert "pooled vector" in no_cls["output"] and "pooled vector" in no_patches["output"]


def test_torchvision_vit_and_sequence_first_tokens():
    model = torchvision.models.VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=3)
    (whole, _), (cls, _), (patches, _), (mean, _) = readings(model, (32, 32), *EVERY)
    x = whole["encoder.layers.encoder_layer_0"]
    assert x.shape == (4, 17, 16)
    assert torch.equal(cls["encoder.layers.encoder_layer_0"], x[:, 0])
    assert torch.equal(patches["encoder.layers.encoder_layer_0"], x[:, 1:])

    class SequenceFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch, self.class_token = nn.Conv2d(3, 8, 8, 8), nn.Parameter(torch.randn(1, 1, 8))
            self.layer = nn.TransformerEncoderLayer(8, 2, 16)

        def forward(self, x):
            x = self.patch(x).flatten(2).permute(2, 0, 1)
            return self.layer(torch.cat([self.class_token.expand(1, x.shape[1], 8), x]))

    (whole, _), (cls, _), (patches, _), (mean, _) = readings(SequenceFirst(), (32, 32), *EVERY)
    assert whole["layer.linear1"].shape == (4, 17, 16)
    assert torch.equal(cls["layer.linear1"], whole["layer.linear1"][:, 0])
    assert torch.equal(patches["layer"], whole["layer"][:, 1:])


def test_cnn_maps_have_positions_and_no_class_token():
    model = torchvision.models.resnet18(weights=None)
    (whole, _), (patches, _), (mean, no_mean) = readings(model, (64, 64), "all", "patches", "mean")
    torch.testing.assert_close(mean["layer2.0"], whole["layer2.0"].mean((2, 3)))
    torch.testing.assert_close(mean["layer3.1.conv1"], whole["layer3.1.conv1"].mean((2, 3)))
    assert torch.equal(patches["layer1.0"], whole["layer1.0"])
    assert torch.equal(mean["avgpool"], whole["avgpool"][:, :, 0, 0])
    assert no_mean == {}
    with pytest.raises(InputError, match="it has no class token"):
        readings(model, (64, 64), "cls")


def test_channels_last_maps_are_averaged_over_their_first_two_axes():
    model = timm.models.SwinTransformer(
        img_size=32,
        patch_size=2,
        window_size=4,
        embed_dim=12,
        depths=(1, 1),
        num_heads=(2, 2),
        num_classes=3,
    )
    (whole, _), (mean, no_mean) = readings(model, (32, 32), "all", "mean")
    assert whole["layers.0"].shape == (4, 16, 16, 12) and whole["layers.1"].shape == (4, 8, 8, 24)
    for name in ("patch_embed", "layers.0", "layers.1", "norm"):
        torch.testing.assert_close(mean[name], whole[name].mean((1, 2)))
    torch.testing.assert_close(mean["patch_embed.proj"], whole["patch_embed.proj"].mean((2, 3)))
    torch.testing.assert_close(
        mean["layers.1.blocks.0.mlp.fc1"], whole["layers.1.blocks.0.mlp.fc1"].mean(1)
    )
    assert "windows or heads" in no_mean["layers.0.blocks.0.attn.qkv"]


def reader(special=("cls_token",), shapes=(), maps=()):
    model = nn.Module()
    for name in special:
        model.register_parameter(name, nn.Parameter(torch.zeros(1, 1, 8)))
    return TokenReader(model, shapes, maps)


def test_ambiguous_axes_are_left_out_unless_the_other_sites_agree():
    vit = reader(shapes=[(17, 64)], maps=[(64, 4, 4)])
    assert vit.read((17, 64), False) == TokenView((0,), 1, True)
    assert vit.read((3, 17, 20), False) == TokenView((1,), 1, True)
    assert vit.read((3, 17, 17), False) == "two of its axes could be the tokens"
    assert vit.read((16, 64), False) == TokenView((0,))
    assert "windows or heads" in vit.read((17, 64), True)
    assert vit.read((5, 6), False) == "no axis of it has the size of the token grid"
    # 16 tokens of 16 features: as the sites that can be told apart have them
    square = reader((), shapes=[(16, 16), (16, 64)], maps=[(16, 4, 4)])
    assert square.read((16, 16), False) == TokenView((0,))
    mixer = reader((), shapes=[(16, 64), (64, 16)], maps=[(64, 4, 4)])
    assert mixer.read((64, 16), False) == TokenView((1,))
    assert mixer.read((16, 16), False) == "two of its axes could be the tokens"
    # 8 channels of 8 x 8 in a network of (C, H, W) maps
    cnn = reader((), shapes=[(8, 8, 8), (16, 4, 4)], maps=[(8, 8, 8), (16, 4, 4)])
    assert cnn.read((8, 8, 8), False) == TokenView((1, 2))
    both = reader((), shapes=[(16, 4, 4), (8, 8, 16)], maps=[(16, 4, 4), (16, 8, 8)])
    assert both.read((8, 8, 16), False) == TokenView((0, 1))
    assert both.read((8, 8, 8), False) == "two of its axes could be the tokens"


def test_patches_embedded_without_a_convolution():
    shapes = [(16, 49), (17, 32), (17, 64), (17, 32), (32,)]
    assert reader(shapes=shapes).read((17, 32), False) == TokenView((0,), 1, True)
    assert reader(special=(), shapes=[(16, 32), (16, 64)]).read((16, 64), False) == TokenView((0,))


def test_registers_without_a_class_token():
    model = reader(special=("reg_token",), shapes=[(17, 8)], maps=[(8, 4, 4)])
    where = model.read((17, 8), False)
    assert where == TokenView((0,), 1, False)
    assert why_no_tokens((17, 8), where, "cls") == "no tokens='cls': it has no class token"
    assert why_no_tokens((17, 8), where, "patches") is None


@given(
    n=st.integers(1, 3),
    heads=st.integers(1, 3),
    patches=st.integers(1, 6),
    prefix=st.integers(0, 3),
    axis=st.integers(0, 2),
)
@settings(max_examples=50, deadline=None)
def test_selected_tokens_are_views_of_the_activation(n, heads, patches, prefix, axis):
    shape = [heads, 5]
    shape.insert(axis, prefix + patches)
    x = torch.randn(n, *shape)
    where = TokenView((axis,), prefix, prefix > 0)
    rows = x.movedim(axis + 1, 1)  # (n, T, ...)
    chosen = select_tokens(x, where, "patches")
    assert torch.equal(chosen.movedim(axis + 1, 1), rows[:, prefix:])
    assert chosen.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    torch.testing.assert_close(select_tokens(x, where, "mean"), rows[:, prefix:].mean(1))
    if prefix:
        cls = select_tokens(x, where, "cls")
        assert torch.equal(cls, rows[:, 0])
        assert cls.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()


def test_mean_of_half_precision_is_taken_in_float32():
    x = torch.full((2, 4096, 1), 1.0).half()
    x[:, ::2] = 1.001
    mean = select_tokens(x, TokenView((0,)), "mean")
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean, x.float().mean(1))
