"""Skips beside their branches: exact numbers, references in float64, names and blanks."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

import vitprobe
from vitprobe.errors import InputError
from vitprobe.passes import Ran


def images(n=10, size=8):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(2))


class Known(nn.Module):
    """z is (x, x, x), and f a multiple of it, or of what is at right angles to it."""

    def __init__(self, scale=0.25, angle=None, in_place=False, dtype=torch.float32):
        super().__init__()
        self.mix = nn.Conv2d(3, 3, 1, bias=False, dtype=dtype)
        turned = torch.eye(3)[[1, 0, 2]] * torch.tensor([1.0, -1.0, 0.0])[:, None]
        weight = torch.eye(3) if angle is None else turned
        self.mix.weight.data[:] = scale * weight[..., None, None]
        self.in_place = in_place

    def forward(self, x):
        x = x[:, :1].expand(-1, 3, -1, -1) * torch.tensor([1, 1, 0.0])[:, None, None].to(x)
        out = self.mix(x)
        if self.in_place:
            out += x
            return out
        return x + out


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(
    ("scale", "angle", "ratio", "cosine"),
    [(0.25, None, 4, 1), (-2, None, 0.5, -1), (0.5, 90, 2, 0), (1024, None, 2**-10, 1)],
)
def test_known_branches(scale, angle, ratio, cosine, in_place):
    result = vitprobe.skips(Known(scale, angle, in_place), images())
    found = result.sel(group="patches").isel(layer=0)
    assert found["ratio"].item() == pytest.approx(ratio, rel=1e-7)
    assert found["cosine"].item() == pytest.approx(cosine, abs=1e-7)
    assert found["ratio_se"].item() <= 1e-6 * ratio
    np.testing.assert_allclose(result["ratio_map"].values, ratio, rtol=1e-6)
    assert result["ratio_map"].shape == (1, 8, 8)


def test_bfloat16():
    result = vitprobe.skips(Known(0.25, dtype=torch.bfloat16), images().bfloat16())
    assert result["ratio"].sel(group="patches").item() == pytest.approx(4, rel=1e-6)
    half = vitprobe.skips(Known(0.25), images(), precision="bf16")
    assert half["ratio"].sel(group="patches").item() == pytest.approx(4, rel=1e-2)


def reference(z, f, prefix):
    """Ratio, cosine, and their errors, of class token and patches (n, T, C), in float64."""
    a, b = z.norm(dim=-1), f.norm(dim=-1)
    found = []
    for each in (a / b, (z * f).sum(-1) / a / b):
        for part in (each[:, prefix:].mean(1), each[:, :prefix].mean(1)):
            found += [part.mean().item(), part.std().item() / len(z) ** 0.5]
    return found


def check(result, name, z, f, prefix=0):
    here = result.sel(layer=name)
    expected = reference(z.double(), f.double(), prefix)
    columns = [
        here[quantity + error].sel(group=group).item()
        for quantity in ("ratio", "cosine")
        for group in ("patches", "cls")
        for error in ("", "_se")
    ]
    np.testing.assert_allclose(columns, expected, rtol=1e-9, atol=1e-12)


def test_a_pre_norm_block_with_layer_scale():
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=8, patch_size=4, depth=2, embed_dim=16, num_heads=2,
        init_values=0.3, drop_path_rate=0.5,
    ).double().eval()  # fmt: skip
    x = images().double()
    result = vitprobe.skips(model, x, batch_size=4)
    with torch.no_grad():
        z = model.norm_pre(model._pos_embed(model.patch_embed(x)))
        for k, block in enumerate(model.blocks):
            f = block.ls1(block.attn(block.norm1(z)))
            check(result, f"blocks.{k}.attn", z, f, prefix=1)
            z = z + f
            f = block.ls2(block.mlp(block.norm2(z)))
            check(result, f"blocks.{k}.mlp", z, f, prefix=1)
            z = z + f
    assert result["kind"].values.tolist() == ["attention", "mlp"] * 2
    assert result["block"].values.tolist() == ["blocks.0"] * 2 + ["blocks.1"] * 2
    assert result["tokens"].values.tolist() == [[4, 1, 0]] * 4
    assert result["ratio_map"].shape == (4, 2, 2) and result["ratio_special"].shape == (4, 1)
    of_groups = result["ratio"].values
    np.testing.assert_allclose(result["ratio_map"].mean(("row", "col")), of_groups[:, 0])
    np.testing.assert_allclose(result["ratio_special"].values[:, 0], of_groups[:, 1])


class PostNorm(nn.Module):
    """Tokens first, as nn.TransformerEncoder has it by default."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 4, 4)
        self.layers = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(16, 2, 32), 2, enable_nested_tensor=False
        )

    def forward(self, x):
        return self.layers(self.embed(x).flatten(2).permute(2, 0, 1)).mean(0)


def test_a_post_norm_block_with_the_tokens_first():
    model, x = PostNorm().double().eval(), images().double()
    result = vitprobe.skips(model, x, batch_size=4)
    with torch.no_grad():
        z = model.embed(x).flatten(2).permute(2, 0, 1)
        for k, layer in enumerate(model.layers.layers):
            f = layer.self_attn(z, z, z)[0]
            check(result, f"layers.layers.{k}.self_attn", z.transpose(0, 1), f.transpose(0, 1))
            z = layer.norm1(z + f)
            f = layer.linear2(F.relu(layer.linear1(z)))
            check(result, f"layers.layers.{k}.mlp", z.transpose(0, 1), f.transpose(0, 1))
            z = layer.norm2(z + f)


def test_in_place_sums_of_a_resnet():
    model, x, seen = torchvision.models.resnet18().double().eval(), images(4, 64).double(), {}
    for name, block in (
        (f"layer{k}.{b}", getattr(model, f"layer{k}")[b]) for k in (1, 2) for b in (0, 1)
    ):
        block.register_forward_pre_hook(
            lambda m, args, name=name: seen.update({name: [args[0].clone()]})
        )
        block.bn2.register_forward_hook(
            lambda m, args, out, name=name: seen[name].append(out.clone())
        )
    with torch.no_grad():
        model(x)
        expected = {name: list(parts) for name, parts in seen.items()}
        expected["layer2.0"][0] = model.layer2[0].downsample(expected["layer2.0"][0])
    result = vitprobe.skips(model, x, batch_size=4)
    for name, parts in expected.items():
        z, f = (part.flatten(2).mT for part in parts)
        a, b = z.norm(dim=-1), f.norm(dim=-1)
        found = result.sel(layer=name, group="patches")
        assert found["ratio"].item() == pytest.approx((a / b).mean().item(), rel=1e-9)
        cosine = (z * f).sum(-1) / a / b
        assert found["cosine"].item() == pytest.approx(cosine.nanmean(1).mean().item(), rel=1e-9)
    assert result["rows"].values.tolist() == [16, 16, 8, 8, 4, 4, 2, 2]
    assert result["ratio_map"].shape == (8, 16, 16)
    assert np.isfinite(result["ratio_map"].values[3, :8, :8]).all()
    assert np.isnan(result["ratio_map"].values[3, 8:]).all()


def test_registers_and_distillation_tokens_are_apart():
    sizes = {"depth": 1, "embed_dim": 16, "num_heads": 2, "patch_size": 4, "img_size": 8}
    registers = timm.create_model("vit_small_patch14_reg4_dinov2", **sizes)
    assert vitprobe.skips(registers, images())["tokens"].values.tolist() == [[4, 1, 4]] * 2
    distilled = timm.create_model("deit_tiny_distilled_patch16_224", **sizes)
    assert vitprobe.skips(distilled, images())["tokens"].values.tolist() == [[4, 1, 1]] * 2


def test_as_many_channels_as_tokens():
    """64 patches of 64 numbers, told apart by the layers around them."""
    model = vitprobe.load_model("vit(dim=64,depth=1,pool='mean')")
    result = vitprobe.skips(model, images(6, 32))
    assert result["tokens"].values.tolist() == [[64, 0, 0]] * 2
    assert result["channels"].values.tolist() == [64, 64]


def test_blanks_have_reasons():
    zero = vitprobe.skips(Known(0.0), images())
    assert zero["blank"].values.tolist() == ["its long branch is zero everywhere"]
    assert np.isnan(zero["ratio"].values).all()
    assert zero["infinite"].sel(group="patches").item() == 640
    assert "640 (no ratio" in zero.attrs["notes"]
    x = images()
    x[7, 0, 0, 0] = torch.inf
    bad = vitprobe.skips(Known(), x, batch_size=4)
    assert bad["blank"].values.tolist() == ["non-finite values (first in batch 1)"]
    assert np.isnan(bad["ratio_map"].values).all()


class Sometimes(nn.Module):
    """Its second skip is for large batches."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Known(0.5), Known(0.5)])

    def forward(self, x):
        x = self.blocks[0](x)
        return self.blocks[1](x) if len(x) != 1 else x


def test_a_skip_that_is_not_made_is_blank():
    result = vitprobe.skips(Sometimes(), images(5), batch_size=4)
    assert result["blank"].values.tolist() == ["", "did not fire in batch 1"]
    assert np.isnan(result["ratio"].values[1]).all()


def test_models_without_skips_are_refused_in_one_line():
    with pytest.raises(InputError, match="^plain has no skips: nothing in it adds what enters"):
        vitprobe.skips({"plain": nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())}, images())


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_model_without_gradients_is_told_so(context):
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = Sometimes()

        def forward(self, x):
            with context():
                return self.body(x)

    with pytest.raises(InputError, match="^skips of hidden cannot be found: it computes without"):
        vitprobe.skips({"hidden": Hidden()}, images())


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients(context):
    model = vitprobe.load_model("vit@digits").requires_grad_(False)
    with context():
        result = vitprobe.skips(model, torch.rand(8, 3, 32, 32), batch_size=4)
    assert result.sizes["layer"] == 12 and result["ratio"].sel(group="patches").notnull().all()


def test_beside_other_readers_in_one_forward():
    readers = [vitprobe.SkipsReader(), vitprobe.AttentionReader(), vitprobe.CKAReader("blocks")]
    (skips,), _, _ = vitprobe.run(readers, "vit@digits", examples=16, batch_size=8)
    alone = vitprobe.skips("vit@digits", examples=16, batch_size=8)
    np.testing.assert_array_equal(skips["ratio"].values, alone["ratio"].values)
    np.testing.assert_array_equal(skips["cosine_map"].values, alone["cosine_map"].values)


def test_standard_errors_are_of_distinct_images():
    reader = vitprobe.SkipsReader()
    vitprobe.run([reader], "vit@digits", examples=16, batch_size=8)
    once, four = (
        reader.results(reader.about, reader.metrics, Ran(16 * passes, 2, passes, "cpu", {}))[0]
        for passes in (1, 4)
    )
    for name in ("ratio_se", "cosine_se"):  # a pass more shows no new images
        np.testing.assert_allclose(four[name].values, 2 * once[name].values)
    np.testing.assert_array_equal(four["ratio"].values, once["ratio"].values)


def test_what_trained_models_show():
    """As in Raghu et al. 2021: the ratio of a ResNet is near 1, that of a ViT's patches larger."""
    vit = vitprobe.skips("vit@digits", examples=32)["ratio"].sel(group="patches")
    resnet = vitprobe.skips("resnet20@digits", examples=32)["ratio"].sel(group="patches")
    assert (vit > 2).all() and (resnet > 0.7).all() and (resnet < 2.2).all()
