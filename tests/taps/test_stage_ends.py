"""Which sites show a model from its first map to its last, and what is a map."""

import pytest
import timm
import torch
from torch import nn

from vitprobe.taps import survey
from vitprobe.taps.map_view import MapView, map_views
from vitprobe.taps.stage_ends import stage_ends


def ends(model, size=64):
    torch.manual_seed(0)
    sites = survey(model, torch.randn(4, 3, size, size))
    views = map_views(model, sites, (size, size))
    return stage_ends(sites, views), views


def grids(views, names):
    return [(views[n].channels, views[n].rows, views[n].columns) for n in names]


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("resnet18", "act1", "layer4.1"),  # not the pooling after it, nor the raw convolution
        ("resnet10t", "act1", "layer4.0"),  # a stem of three convolutions
        ("resnetv2_18", "stem.conv", "norm.act"),  # before its activations: there is none earlier
        ("mobilenetv3_small_050", "bn1.act", "blocks.5.0.bn1.act"),
        ("convnext_atto", "stem.1", "stages.3.blocks.1"),
        ("vit_tiny_patch16_224", "pos_drop", "norm"),
        ("mixer_s32_224", "stem.norm", "norm"),
    ],
)
def test_stem_blocks_and_the_last_map(name, first, last):
    try:
        model = timm.create_model(name, img_size=64, num_classes=5)
    except TypeError:
        model = timm.create_model(name, num_classes=5)
    names, views = ends(model.eval())
    assert (names[0], names[-1]) == (first, last)
    assert all(isinstance(views[name], MapView) for name in names)


def test_layers_that_stand_for_blocks_end_before_their_pooling():
    model = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(True), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(True), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(6, 5),
    )
    names, views = ends(model, 16)
    assert names == ["2", "5"]
    assert grids(views, names) == [(4, 16, 16), (6, 8, 8)]


def test_without_blocks_there_are_none():
    assert ends(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), 8)[0] == []


class Squeezed(nn.Module):
    """A block with a gate that is pooled to one position."""

    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Conv2d(width, width, 1)

    def forward(self, x):
        x = self.conv(x)
        return x * self.gate(self.pool(x)).sigmoid()


def test_what_is_pooled_to_one_position_is_no_map_unless_the_block_is():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 2, 2),
        nn.Sequential(Squeezed(8), Squeezed(8)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    names, views = ends(model, 8)
    assert names == ["0", "1.0", "1.1"]
    pooled = "no map: it is pooled to one position"
    assert [views[name] for name in ("1.0.pool", "1.0.gate", "2")] == [pooled] * 3
    names, views = ends(model, 2)  # all of it has one position
    assert names == ["1.0", "1.1"] and grids(views, names) == [(8, 1, 1)] * 2


def test_heads_are_channels_and_tokens_a_grid():
    model = timm.models.VisionTransformer(
        img_size=(16, 24), patch_size=4, embed_dim=24, depth=1, num_heads=3, qk_norm=True
    )
    images = torch.randn(4, 3, 16, 24)
    sites = survey(model, images)
    views = map_views(model, sites, (16, 24))
    view = views["blocks.0.attn.q_norm"]
    assert sites["blocks.0.attn.q_norm"].shape == (3, 25, 8)
    assert (view.channels, view.rows, view.columns, view.prefix) == (24, 4, 6, 1)
    x = torch.randn(2, 3, 25, 8)
    expected = x[:, :, 1:].permute(0, 1, 3, 2).reshape(2, 24, 4, 6)
    assert torch.equal(view.of(x), expected)
    assert views["head"].startswith("no map: it has no token axis")
