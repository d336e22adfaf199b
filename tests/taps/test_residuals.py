"""Both operands of residual sums, with the examples first, however a model lays them out."""

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from vitprobe.errors import InputError
from vitprobe.taps import attention_sites, capture_attention, capture_residuals, residual_sites
from vitprobe.taps.tokens import TokenView


def images(n: int, size: int = 32) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def captured(model: nn.Module, x: torch.Tensor) -> dict[str, tuple]:
    """Site, z and f of each residual sum."""
    found, sites = {}, residual_sites(model, x[:2])
    with capture_residuals(
        model, sites, lambda site, z, f: found.update({site.name: (site, z.clone(), f.clone())})
    ):
        model(x)
    return found


def vit(**options) -> nn.Module:
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, depth=2, embed_dim=16, num_heads=2,
        **options,
    )  # fmt: skip


def test_pre_norm():
    model, x = vit(init_values=0.3).eval(), images(5)
    block, seen = model.blocks[1], {}
    block.register_forward_pre_hook(lambda m, args: seen.update(x=args[0].clone()))
    found = captured(model, x)
    assert list(found) == ["blocks.0.attn", "blocks.0.mlp", "blocks.1.attn", "blocks.1.mlp"]
    site, z, f = found["blocks.1.attn"]
    assert site.tokens == TokenView((0,), 1, True) and site.shape == (17, 16)
    with torch.no_grad():
        attention = block.ls1(block.attn(block.norm1(seen["x"])))
        torch.testing.assert_close((z, f), (seen["x"], attention))
        _, z, f = found["blocks.1.mlp"]
        middle = seen["x"] + attention
        torch.testing.assert_close((z, f), (middle, block.ls2(block.mlp(block.norm2(middle)))))


class Encoder(nn.Module):
    """Patches of 8 x 8 pixels through an encoder that may have the tokens first."""

    def __init__(self, batch_first: bool, norm_first: bool = False):
        super().__init__()
        self.embed, self.batch_first = nn.Conv2d(3, 16, 8, 8), batch_first
        layer = nn.TransformerEncoderLayer(
            16, 2, 32, batch_first=batch_first, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x):
        x = self.embed(x).flatten(2)  # (B, C, N)
        x = x.mT if self.batch_first else x.permute(2, 0, 1)
        return self.encoder(x).mean(1 if self.batch_first else 0)


@pytest.mark.parametrize("norm_first", [False, True])
def test_sequence_first_is_batch_first(norm_first):
    one, other = Encoder(True, norm_first).eval(), Encoder(False, norm_first).eval()
    other.load_state_dict(one.state_dict())
    found, turned = captured(one, images(5)), captured(other, images(5))
    assert turned["encoder.layers.0.mlp"][0].where.axis == 1
    for name, (site, z, f) in found.items():
        assert site.shape == turned[name][0].shape == (16, 16)
        torch.testing.assert_close((z, f), turned[name][1:])


def test_post_norm():
    model = Encoder(True).eval()
    layer, seen = model.encoder.layers[1], {}
    layer.register_forward_pre_hook(lambda m, args: seen.update(x=args[0].clone()))
    found = captured(model, images(3))
    _, z, f = found["encoder.layers.1.self_attn"]
    torch.testing.assert_close(z, seen["x"])
    with torch.no_grad():
        torch.testing.assert_close(f, layer.self_attn(z, z, z)[0])
        middle = layer.norm1(z + f)
        _, z, f = found["encoder.layers.1.mlp"]
        torch.testing.assert_close(z, middle)
        torch.testing.assert_close(f, layer.linear2(F.relu(layer.linear1(middle))))


def test_maps_windows_and_channels_last():
    resnet = captured(torchvision.models.resnet18(), images(3, 64))
    assert resnet["layer2.0"][0].tokens == TokenView((1, 2))
    assert resnet["layer2.0"][1].shape == (3, 128, 8, 8)
    swin = torchvision.models.SwinTransformer([4, 4], 16, [2], [2], [4, 4])
    found = captured(swin, images(3))
    assert found["features.1.0.attn"][0].tokens == TokenView((0, 1))
    assert found["features.1.0.attn"][1].shape == (3, 8, 8, 16)


class Windows(nn.Module):
    """Two windows of each image, folded into the batch."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        x = (
            torch.cat(x.chunk(2, 2))
            if False
            else x.unflatten(2, (2, -1)).movedim(2, 1).flatten(0, 1)
        )
        return (x + self.mix(x)).mean((1, 2, 3)).unflatten(0, (-1, 2))


def test_windows_in_the_batch():
    ((site, z, f),) = captured(Windows(), x := images(5, 8)).values()
    assert site.shape == (2, 3, 4, 8) and site.where.inner == 2
    torch.testing.assert_close(z, x.unflatten(2, (2, -1)).movedim(2, 1))


def test_in_place_sums_are_seen_before_they_are_made():
    model, x = torchvision.models.resnet18().eval(), images(3, 64)
    with torch.no_grad():
        plain = model(x)
        found = captured(model, x)
        assert torch.equal(model(x), plain)
    _, z, f = found["layer1.1"]
    _, after, _ = found["layer2.0"]
    with torch.no_grad():
        shortcut = model.layer2[0].downsample((z + f).relu())
    torch.testing.assert_close(after, shortcut)


def test_beside_attention():
    model, x, found = vit(), images(4), []
    sites, attention = residual_sites(model, x), attention_sites(model, x)
    with (
        capture_attention(model, attention, lambda site, _: found.append(site.name)),
        capture_residuals(model, sites, lambda site, z, f: found.append("+" + site.name)),
    ):
        model(x)
    block = ["blocks.{}.attn", "+blocks.{}.attn", "+blocks.{}.mlp"]
    assert found == [name.format(k) for k in (0, 1) for name in block]


class Mixing(nn.Module):
    """A branch that depends on the other examples."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return x + self.mix(x - x.mean(0))


def test_what_cannot_be_read_says_why():
    model = Mixing()
    (site,) = sites = residual_sites(model, images(2, 8))
    assert "wherever in the batch" in site.reason
    with pytest.raises(InputError, match="cannot be read"), capture_residuals(model, sites, print):
        pass


def test_other_sizes_are_refused():
    model = torchvision.models.resnet18().eval()
    sites = residual_sites(model, images(2, 64))
    with (
        pytest.raises(InputError, match="images of this size"),
        capture_residuals(model, sites, lambda *_: None),
    ):
        model(images(2, 96))


def test_no_skip_and_no_images():
    assert residual_sites(nn.Conv2d(3, 3, 1), images(2)) == []
    with pytest.raises(InputError, match="no image"):
        residual_sites(nn.Conv2d(3, 3, 1), images(0))
    with pytest.raises(InputError, match="TorchScript"):
        residual_sites(torch.jit.script(nn.Conv2d(3, 3, 1)), images(2))
