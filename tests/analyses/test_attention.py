"""Attention of real models against the whole attention matrix in float64."""

import numpy as np
import pytest
import torch
from mnist_vit import trained
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer as TorchvisionViT

import vitprobe
from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.errors import InputError
from vitprobe.passes.inputs import prepare
from vitprobe.passes.run import run

pytestmark = pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")


def materialised(q, k, grid, prefix, patch):
    """(images, heads, 4) from q and k (n, H, T, D) by the definitions, query by query in numpy."""
    rows, columns = grid
    scores = np.einsum("nhid,nhjd->nhij", q, k) / np.sqrt(q.shape[-1])
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    places = np.array([(y * patch[0], x * patch[1]) for y in range(rows) for x in range(columns)])
    apart = np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1))
    to_patches = p[:, :, prefix:, prefix:]
    mass, raw = to_patches.sum(-1), (to_patches * apart).sum(-1)
    entropy = -(p[:, :, prefix:] * np.log(p[:, :, prefix:])).sum(-1)
    return np.stack([x.mean(-1) for x in (raw, raw / mass, mass, entropy)], -1)


def check(result, layer, expected, rtol):
    """A layer's means and standard errors over images, from values (images, heads, 4)."""
    for i, name in enumerate(("distance_raw", "distance", "patch_mass", "entropy")):
        values = expected[..., i]
        np.testing.assert_allclose(result[name].sel(layer=layer), values.mean(0), rtol=rtol)
        error = values.std(0, ddof=1) / np.sqrt(len(values))
        np.testing.assert_allclose(
            result[f"{name}_se"].sel(layer=layer), error, rtol=0.01, atol=rtol * values.max()
        )


def heads_of(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2).detach().numpy()


def sharpened(model, factor=6.0):
    """Random weights attend almost uniformly; larger ones of q and k tell heads apart."""
    for name, parameter in model.named_parameters():
        if "qkv.weight" in name or "in_proj_weight" in name:
            parameter.data *= factor
    return model.eval()


@pytest.mark.parametrize("size", [(32, 32), (16, 32)])
def test_a_timm_vit_with_registers(size):
    torch.manual_seed(0)
    options = {"img_size": size, "patch_size": (4, 8), "reg_tokens": 2, "embed_dim": 24}
    model = sharpened(VisionTransformer(depth=2, num_heads=3, **options), 40.0)
    images = torch.randn(10, 3, *size)
    result = vitprobe.attention(model, images, batch_size=4)
    assert result["layer"].values.tolist() == ["blocks.0.attn", "blocks.1.attn"]
    exact, seen = model.double(), {}
    for i, block in enumerate(exact.blocks):
        block.attn.qkv.register_forward_hook(lambda m, x, y, i=i: seen.update({i: y}))
    exact(images.double())
    grid = (size[0] // 4, size[1] // 8)
    for i in range(2):
        q, k, _ = (heads_of(part, 3) for part in seen[i].chunk(3, -1))
        check(result, f"blocks.{i}.attn", materialised(q, k, grid, 3, (4, 8)), 2e-5)
    assert result["distance"].std() > 0.05


def test_torchvision():
    torch.manual_seed(1)
    model = sharpened(TorchvisionViT(32, 8, 2, 2, 16, 16, num_classes=3))
    images = torch.randn(9, 3, 32, 32)
    result = vitprobe.attention(model, images)
    exact, seen = model.double(), {}
    for i, layer in enumerate(exact.encoder.layers):
        layer.ln_1.register_forward_hook(lambda m, x, y, i=i: seen.update({i: y}))
    exact(images.double())
    for i, layer in enumerate(exact.encoder.layers):
        attention = layer.self_attention
        projected = nn.functional.linear(seen[i], attention.in_proj_weight, attention.in_proj_bias)
        q, k, _ = (heads_of(part, 2) for part in projected.chunk(3, -1))
        name = f"encoder.layers.encoder_layer_{i}.self_attention"
        check(result, name, materialised(q, k, (4, 4), 1, (8, 8)), 2e-5)


def test_a_trained_model_on_real_images(real_data):
    model, images, labels = trained(real_data)
    result = vitprobe.attention(model, images, batch_size=128)
    assert result.attrs["examples"] == 3000
    layer = result.sel(layer="encoder.0.attn")
    assert (int(layer["prefix"]), float(layer["patch_height"])) == (0, 7.0)
    exact = model.double()
    with torch.no_grad():
        assert (exact(images.double()).argmax(1).numpy() == labels).mean() > 0.8
        attention = exact.encoder[0]["attn"]
        q, k, _ = (
            nn.functional.linear(
                exact.tokens(images.double()), attention.in_proj_weight, attention.in_proj_bias
            )
            .unsqueeze(1)
            .chunk(3, -1)
        )
    expected = materialised(q.numpy(), k.numpy(), (4, 4), 0, (7, 7))
    check(result, "encoder.0.attn", expected, 1e-5)
    np.testing.assert_allclose(result["patch_mass"], 1, rtol=1e-6)
    np.testing.assert_allclose(result["distance"], result["distance_raw"], rtol=1e-6)


def test_weights_of_zero_attend_uniformly():
    model = VisionTransformer(img_size=32, patch_size=4, embed_dim=8, depth=2, num_heads=2)
    for block in model.blocks:
        nn.init.zeros_(block.attn.qkv.weight)
    result = vitprobe.attention(model, torch.randn(4, 3, 32, 32))
    for name in ("distance", "distance_raw", "patch_mass", "entropy"):
        for head in (0, 1):
            np.testing.assert_allclose(
                result[name].sel(head=head), result[f"{name}_uniform"], rtol=1e-5
            )
    assert float(result["distance"][0, 0]) == pytest.approx(16.545931, rel=1e-5)
    assert float(result["distance_se"].max()) < 1e-5


def test_swin_by_windows_and_with_fewer_heads_in_its_first_layers():
    torch.manual_seed(2)
    sizes = {"img_size": 64, "patch_size": 4, "window_size": 4, "embed_dim": 12}
    model = SwinTransformer(**sizes, depths=(2, 1, 1), num_heads=(1, 2, 4), num_classes=3)
    images = torch.randn(5, 3, 64, 64)
    result = vitprobe.attention(model, images)
    assert result["windows"].values.tolist() == [16, 16, 4, 1]
    assert result["patch_height"].values.tolist() == [4, 4, 8, 16]
    assert result["distance"].notnull().sum("head").values.tolist() == [1, 1, 2, 4]
    diagonal = result["patch_height"] * 3 * np.sqrt(2)  # nothing is farther within a window
    assert (result["distance"].max("head") < diagonal).all()
    split = vitprobe.attention(model, images, batch_size=4)
    np.testing.assert_allclose(split["distance"], result["distance"], rtol=1e-5)
    np.testing.assert_allclose(split["distance_se"], result["distance_se"], rtol=1e-3)


def test_the_result_does_not_depend_on_batches_or_their_order():
    model = vitprobe.load_model("vit", image_size=32, num_classes=10)
    sharpened(model)
    images = torch.randn(12, 3, 32, 32)
    one = vitprobe.attention(model, images)
    other = vitprobe.attention(model, images[torch.randperm(12)], batch_size=5)
    for name in ("distance", "distance_raw", "patch_mass", "entropy"):
        np.testing.assert_allclose(other[name], one[name], rtol=1e-5)
        np.testing.assert_allclose(other[f"{name}_se"], one[f"{name}_se"], rtol=1e-2, atol=1e-7)


def test_several_models_in_one_pass_are_as_each_alone():
    small = VisionTransformer(img_size=32, patch_size=8, embed_dim=8, depth=1, num_heads=2)
    large = VisionTransformer(img_size=32, patch_size=4, embed_dim=16, depth=2, num_heads=4)
    images = torch.randn(8, 3, 32, 32)
    together = run(prepare([small, large], images), [AttentionReader()])[0]
    for model, result in zip((small, large), together, strict=True):
        alone = vitprobe.attention(model, images)
        np.testing.assert_allclose(result["distance"], alone["distance"], rtol=1e-6)


def test_bfloat16_is_near_float32():
    torch.manual_seed(3)
    model = sharpened(vitprobe.load_model("vit", image_size=32, num_classes=10), 3.0)
    images = torch.randn(8, 3, 32, 32)
    exact, half = (
        vitprobe.attention(model, images, precision=precision) for precision in ("fp32", "bf16")
    )
    assert half.attrs["dtype"] == "bf16"
    difference = np.abs(half["distance"] - exact["distance"]).max()
    assert 0 < difference < 0.02 * exact["distance"].max()


def test_the_model_is_left_as_found():
    model = VisionTransformer(img_size=32, patch_size=8, embed_dim=8, depth=1, num_heads=2)
    model.train()
    model.blocks[0].attn.fused_attn = False
    before = {name: value.clone() for name, value in model.state_dict().items()}
    vitprobe.attention(model, torch.randn(4, 3, 32, 32))
    assert model.training and model.blocks[0].attn.fused_attn is False
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_given_grid_and_one_that_cannot_be():
    model = VisionTransformer(img_size=32, patch_size=4, embed_dim=8, depth=1, num_heads=2)
    images = torch.randn(4, 3, 32, 32)
    result = vitprobe.attention(model, images, grid=(4, 16), patch_size=(8, 2))
    assert result["columns"].item() == 16 and result["patch_width"].item() == 2
    with pytest.raises(InputError, match="a grid of 5 x 5 patches is not the model's"):
        vitprobe.attention(model, images, grid=(5, 5))


def test_models_without_attention_of_tokens():
    images = torch.randn(4, 3, 32, 32)
    with pytest.raises(InputError, match="resnet20 has no attention"):
        vitprobe.attention("resnet20", images)


def test_images_that_the_model_cannot_take():
    model = VisionTransformer(img_size=32, patch_size=8, embed_dim=8, depth=1, num_heads=2)
    with pytest.raises(InputError, match="VisionTransformer fails on images of 3x24x24"):
        vitprobe.attention(model, torch.randn(4, 3, 24, 24))
