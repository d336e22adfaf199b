"""Ground truth: what a site gives for an image in a batch is what it gives for that image alone."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from vitprobe.taps import capture, select, survey
from vitprobe.taps.axes import ExampleAxis


class Tokens(nn.Module):
    """Patches, a class token and nn.TransformerEncoder, batch-first or sequence-first."""

    def __init__(self, batch_first: bool):
        super().__init__()
        layer = nn.TransformerEncoderLayer(24, 3, 48, batch_first=batch_first)
        self.patch = nn.Conv2d(3, 24, 8, 8)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 24))
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(24, 5)
        self.batch_first = batch_first

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), 1, -1), x], 1)
        x = self.encoder(x if self.batch_first else x.transpose(0, 1))
        return self.head(x[:, 0] if self.batch_first else x[0])


class Folded(nn.Module):
    """Six pieces of an image folded into one axis: behind, before and around the examples."""

    def __init__(self):
        super().__init__()
        self.behind, self.before, self.around, self.axis1 = (nn.Linear(4, 4) for _ in range(4))

    def forward(self, x):  # (n, 3, 8, 4)
        n = len(x)
        x = x.reshape(n, 2, 3, 4, 4)
        a = self.behind(x.reshape(n * 6, 4, 4)).reshape(n, 6, 4, 4)
        b = self.before(x.flatten(1, 2).transpose(0, 1).reshape(6 * n, 4, 4)).reshape(6, n, 4, 4)
        c = self.around(x.transpose(0, 1).reshape(2 * n * 3, 4, 4)).reshape(2, n, 3, 4, 4)
        d = self.axis1(x.reshape(n * 6, 4, 4).transpose(0, 1)).reshape(4, n, 6, 4)
        return a.sum(1) + b.sum(0) + c.sum((0, 2)) + d.sum((0, 2))[:, None]


def from_timm(name, **kwargs):
    return lambda: timm.create_model(name, pretrained=False, num_classes=7, **kwargs)


def torchvision_vit():
    return torchvision.models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=7)


def torchvision_swin():
    return torchvision.models.SwinTransformer(
        [2, 2], 12, [2, 2], [2, 4], [4, 4], stochastic_depth_prob=0.2, num_classes=7
    )


def small_mixer():
    return timm.models.MlpMixer(7, img_size=32, patch_size=8, num_blocks=2, embed_dim=48)


VIT = {"img_size": 32, "patch_size": 8, "depth": 2}
SWIN = {"img_size": 32, "patch_size": 2, "window_size": 4, "embed_dim": 12, "num_heads": (2, 2)}
# name -> (how to build it, image size)
MODELS = {
    "vit": (from_timm("vit_tiny_patch16_224", **VIT), 32),
    "vit with registers": (from_timm("vit_small_patch14_reg4_dinov2", img_size=28, depth=2), 28),
    "deit distilled": (from_timm("deit_tiny_distilled_patch16_224", **VIT), 32),
    "cait": (from_timm("cait_xxs24_224", **VIT), 32),
    "swin": (from_timm("swin_tiny_patch4_window7_224", depths=(2, 2), **SWIN), 32),
    "mixer": (small_mixer, 32),
    "convnext": (from_timm("convnext_atto", depths=(1, 1, 2, 1)), 64),
    "resnet": (from_timm("resnet18"), 64),
    "mobilenet": (from_timm("mobilenetv3_small_050"), 64),
    "torchvision resnet": (lambda: torchvision.models.resnet18(weights=None), 64),
    "torchvision vit": (torchvision_vit, 32),
    "torchvision swin": (torchvision_swin, 64),
    "batch first": (lambda: Tokens(True), 32),
    "sequence first": (lambda: Tokens(False), 32),
    "folded": (Folded, (8, 4)),
}


def read(model, sites, images):
    """name -> the whole activation, copied as it was when it came."""
    found = {}
    with capture(model, sites, lambda site, x, twin: found.update({site.name: x.clone()})):
        model(images)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_site_gives_an_image_what_it_gives_it_alone(name):
    torch.manual_seed(0)
    build, size = MODELS[name]
    model = build()
    with torch.no_grad():  # zero and tiny initial weights would hide what a branch does
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    images = torch.randn(5, 3, *(size if isinstance(size, tuple) else (size, size)))

    table = survey(model, images)
    assert {s.reason for s in table if s.reason and not s.reason.startswith("never fires")} == set()
    sites = select(table, "modules").sites
    together = read(model, sites, images)
    alone = [read(model, sites, images[i : i + 1]) for i in range(5)]

    assert list(together) == [site.name for site in sites]
    told_apart = 0
    for site in sites:
        x = together[site.name]
        assert x.shape == (5, *site.shape)
        one_by_one = torch.cat([found[site.name] for found in alone])
        scale = x.square().mean().sqrt()
        assert (x - one_by_one).square().mean().sqrt() <= 1e-4 * scale, site.name
        told_apart += bool((x - x.roll(1, 0)).square().mean().sqrt() > 1e-2 * scale)
    assert told_apart > 0.9 * len(sites)  # else the comparison would say nothing


@pytest.mark.parametrize("name", ["vit", "swin", "torchvision resnet", "sequence first"])
def test_a_twin_has_the_values_of_its_site(name):
    torch.manual_seed(0)
    build, size = MODELS[name]
    model = build()
    images = torch.randn(5, 3, size, size)
    table = survey(model, images)
    values = read(model, select(table, "modules").sites, images)
    twins = [site for site in table if site.twin]
    assert twins
    for site in twins:
        assert torch.equal(values[site.name], values[site.twin])
        assert table[site.twin].twin is None
        assert table.sites.index(table[site.twin]) < table.sites.index(site)


def test_every_folding_is_found():
    torch.manual_seed(0)
    table = survey(Folded(), torch.randn(4, 3, 8, 4))
    assert table["behind"].where == ExampleAxis(0, outer=1, inner=6)
    assert table["before"].where == ExampleAxis(0, outer=6, inner=1)
    assert table["around"].where == ExampleAxis(0, outer=2, inner=3)
    assert table["axis1"].where == ExampleAxis(1, outer=1, inner=6)
    assert table["axis1"].shape == (4, 6, 4) and table["axis1"].features == 96


def test_sequence_first_sites_have_their_examples_in_axis_1():
    torch.manual_seed(0)
    first, second = (
        survey(Tokens(batch_first), torch.randn(4, 3, 32, 32)) for batch_first in (True, False)
    )
    assert {s.example_axis for s in first if s.module.startswith("encoder.layers.0.linear")} == {0}
    assert {s.example_axis for s in second if s.module.startswith("encoder.layers.0.linear")} == {1}
    assert [s.shape for s in first] == [s.shape for s in second]
