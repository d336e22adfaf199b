"""`blocks` are the residual or transformer blocks of each architecture, counted by hand."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from vitprobe.models.blocks import block_paths, enclosing_block


def from_timm(name, **kwargs):
    return lambda: timm.create_model(name, pretrained=False, **kwargs)


def from_torchvision(name):
    return lambda: getattr(torchvision.models, name)(weights=None)


def encoder():
    return nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16), 5, enable_nested_tensor=False
    )


COUNTED = {
    "vit": (from_timm("vit_tiny_patch16_224"), 12, "blocks.0", "blocks.11"),
    "deit": (from_timm("deit_tiny_patch16_224"), 12, "blocks.0", "blocks.11"),
    "registers": (from_timm("vit_small_patch14_reg4_dinov2"), 12, "blocks.0", "blocks.11"),
    "swin": (
        from_timm("swin_tiny_patch4_window7_224"),
        12,
        "layers.0.blocks.0",
        "layers.3.blocks.1",
    ),
    "resnet18": (from_timm("resnet18"), 8, "layer1.0", "layer4.1"),
    "resnet50": (from_timm("resnet50"), 16, "layer1.0", "layer4.2"),
    "convnext": (from_timm("convnext_atto"), 12, "stages.0.blocks.0", "stages.3.blocks.1"),
    "efficientnet": (from_timm("efficientnet_b0"), 16, "blocks.0.0", "blocks.6.0"),
    "mobilenetv3": (from_timm("mobilenetv3_large_100"), 15, "blocks.0.0", "blocks.5.2"),
    "mixer": (from_timm("mixer_s16_224"), 8, "blocks.0", "blocks.7"),
    "cait": (from_timm("cait_xxs24_224"), 26, "blocks.0", "blocks_token_only.1"),
    "torchvision resnet18": (from_torchvision("resnet18"), 8, "layer1.0", "layer4.1"),
    "torchvision vit": (
        from_torchvision("vit_b_16"),
        12,
        "encoder.layers.encoder_layer_0",
        "encoder.layers.encoder_layer_11",
    ),
    "torchvision swin": (from_torchvision("swin_t"), 12, "features.1.0", "features.7.1"),
    "torchvision convnext": (
        from_torchvision("convnext_tiny"),
        18,
        "features.1.0",
        "features.7.2",
    ),
    "torchvision mobilenet": (
        from_torchvision("mobilenet_v3_small"),
        11,
        "features.1",
        "features.11",
    ),
    "densenet": (
        from_torchvision("densenet121"),
        58,
        "features.denseblock1.denselayer1",
        "features.denseblock4.denselayer16",
    ),
    "torch encoder": (encoder, 5, "layers.0", "layers.4"),
    "vgg": (from_torchvision("vgg11"), 0, None, None),
}


@pytest.mark.parametrize("name", COUNTED)
def test_number_first_and_last_block(name):
    build, count, first, last = COUNTED[name]
    with torch.device("meta"):  # names only: no weights are made
        model = build()
    blocks = block_paths(model)
    assert len(blocks) == count
    if count:
        assert (blocks[0], blocks[-1]) == (first, last)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.down = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3), nn.Sequential()


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)


class Stage(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.down = nn.Conv2d(4, 4, 2, 2)
        self.blocks = nn.ModuleList([Residual() for _ in range(depth)])


def test_a_stage_is_entered_and_a_stem_is_no_block():
    model = nn.Sequential(Stem(), Residual(), Stage(2), Stage(1), nn.Conv2d(4, 4, 1))
    assert block_paths(model) == ["1", "2.blocks.0", "2.blocks.1", "3.blocks.0"]


def test_a_shared_block_is_named_once():
    shared = Residual()
    assert block_paths(nn.Sequential(shared, Residual(), shared)) == ["0", "1"]


def test_a_module_belongs_to_the_block_around_it():
    blocks = {"blocks.1", "blocks.11"}
    found = [
        enclosing_block(p, blocks) for p in ("blocks.11.mlp.fc1", "blocks.1", "blocks", "", "x")
    ]
    assert found == ["blocks.11", "blocks.1", "", "", ""]
