"""Attention maps that are known: uniform attention, and a rollout written out in numpy."""

import numpy as np
import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

import vitprobe
from vitprobe.errors import InputError, VitprobeWarning


def small_vit(**options):
    torch.manual_seed(0)
    defaults = {"img_size": (16, 24), "patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 3}
    model = VisionTransformer(**(defaults | {"num_classes": 5} | options)).eval()
    for block in model.blocks:  # attention that is far from uniform
        nn.init.normal_(block.attn.qkv.weight, std=0.5)
    return model


@pytest.fixture
def pictures():
    return torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(1))


def attention_of(model, x):
    """Every layer's softmax(qk) of one image, (layers, H, T, T), in numpy from the qkv layers."""
    found = []

    def hook(module, args, output):
        q, k, _ = (
            output[0].double().numpy().reshape(output.shape[1], 3, 3, -1).transpose(1, 2, 0, 3)
        )
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        found.append(weights / weights.sum(-1, keepdims=True))

    hooks = [block.attn.qkv.register_forward_hook(hook) for block in model.blocks]
    with torch.no_grad():
        model(x[None])
    for handle in hooks:
        handle.remove()
    return np.stack(found)


def rollout_of(attention):
    """Abnar and Zuidema's rollout after each layer, (layers, T, T)."""
    result, products = np.eye(attention.shape[-1]), []
    for layer in attention:
        mixed = layer.mean(0) + np.eye(len(result))
        result = (mixed / mixed.sum(1, keepdims=True)) @ result
        products.append(result)
    return np.stack(products)


@pytest.mark.parametrize("registers", [0, 2])
def test_class_token_and_rollout_are_those_written_out_in_numpy(pictures, registers):
    model = small_vit(reg_tokens=registers)
    result = vitprobe.maps(model, pictures)
    prefix = 1 + registers
    assert result.attrs["query"] == "class token" and result.attrs["prefix"] == prefix
    assert list(result["layer"].values) == [f"blocks.{i}.attn" for i in range(3)]
    for i, x in enumerate(pictures):
        weights = attention_of(model, x)
        expected = weights[:, :, 0, prefix:].reshape(3, 3, 4, 6)
        np.testing.assert_allclose(result["attention"].values[i], expected, rtol=1e-6)
        rolled = rollout_of(weights)[:, 0, prefix:].reshape(3, 4, 6)
        rolled = rolled / rolled.max((1, 2), keepdims=True)
        np.testing.assert_allclose(result["rollout"].values[i], rolled, rtol=1e-6)
        assert rolled.std() > 0.01


@pytest.mark.parametrize("registers", [0, 2])
def test_without_class_token_the_mean_over_queries(pictures, registers):
    model = small_vit(class_token=False, global_pool="avg", reg_tokens=registers)
    result = vitprobe.maps(model, pictures, 1)
    assert result.attrs["query"] == "mean over queries"
    weights = attention_of(model, pictures[1])
    expected = weights.mean(2)[:, :, registers:].reshape(3, 3, 4, 6)
    np.testing.assert_allclose(result["attention"].values[0], expected, rtol=1e-6)
    rolled = rollout_of(weights).mean(1)[:, registers:].reshape(3, 4, 6)
    rolled = rolled / rolled.max((1, 2), keepdims=True)
    np.testing.assert_allclose(result["rollout"].values[0], rolled, rtol=1e-6)


def test_uniform_attention_gives_uniform_maps(pictures):
    model = small_vit()
    for block in model.blocks:
        nn.init.zeros_(block.attn.qkv.weight)
        nn.init.zeros_(block.attn.qkv.bias)
    result = vitprobe.maps(model, pictures)
    np.testing.assert_allclose(result["attention"], 1 / 25, rtol=1e-12)
    np.testing.assert_allclose(result["rollout"], 1, rtol=1e-12)


def test_autocast_rounds_the_forward_pass_alone(pictures):
    model = small_vit()
    exact = vitprobe.maps(model, pictures)
    rounded = vitprobe.maps(model, pictures, precision="bf16")
    assert rounded.attrs["dtype"] == "bf16" and rounded["attention"].dtype == np.float64
    difference = abs(rounded["attention"] - exact["attention"]).mean().item()
    assert 0 < difference < 0.05 * exact["attention"].mean().item()
    with pytest.raises(InputError, match="use fp32 or bf16"):
        vitprobe.maps(model, pictures, precision="fp16")


def test_chosen_layers_have_the_rollout_of_all(pictures):
    model = small_vit()
    whole = vitprobe.maps(model, pictures)
    for layers in ("blocks.2", ["blocks.2.attn"], "*.2.*"):
        some = vitprobe.maps(model, pictures, layers=layers)
        assert list(some["layer"].values) == ["blocks.2.attn"]
        np.testing.assert_array_equal(some["rollout"], whole["rollout"][:, 2:])
        np.testing.assert_array_equal(some["attention"], whole["attention"][:, 2:])
    with pytest.raises(InputError, match="blocks.2.attn"):
        vitprobe.maps(model, pictures, layers="blocks.2.atn")


def test_position_embedding_and_filters_are_the_models(pictures):
    model = small_vit()
    result = vitprobe.maps(model, pictures, 0)
    table = model.pos_embed.detach()[0, 1:]
    expected = nn.functional.cosine_similarity(table[:, None], table[None], dim=-1)
    np.testing.assert_allclose(
        result["position_similarity"].values.reshape(24, 24), expected, atol=1e-6
    )
    np.testing.assert_array_equal(result["filters"], model.patch_embed.proj.weight.detach())


def test_what_a_model_lacks_has_a_reason(pictures):
    result = vitprobe.maps(small_vit(pos_embed="none"), pictures, 0)
    assert "position_similarity" not in result
    assert "no position embedding" in result.attrs["no_position_similarity"]


def test_the_picture_is_the_image_that_the_model_sees():
    result = vitprobe.maps("vit", "digits", [3, 5])
    data = vitprobe.load_data("digits")
    assert list(result["image"].values) == ["3", "5"]
    for shown, number in zip(result["picture"].values, (3, 5), strict=True):
        np.testing.assert_array_equal(shown, np.asarray(data[number][0]))


def test_the_result_survives_netcdf(pictures, tmp_path):
    import xarray

    result = vitprobe.maps(small_vit(), pictures)
    result.to_netcdf(tmp_path / "maps.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "maps.nc", engine="h5netcdf") as read:
        xarray.testing.assert_identical(read.load(), result)


def test_the_model_is_left_as_it_was(pictures):
    model = small_vit().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    vitprobe.maps(model, pictures, 0)
    assert model.training and all(block.attn.training for block in model.blocks)
    assert not any(module._forward_hooks for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("index", "words"),
    [(2, "no image 2: there are 2, from 0 to 1"), (-1, "no image -1"), ([], "no")],
)
def test_images_that_are_not_there(pictures, index, words):
    with pytest.raises(InputError, match=words):
        vitprobe.maps(small_vit(), pictures, index)


def test_windows_have_no_map():
    swin = timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=56, window_size=7, depths=(1, 1, 1, 1)
    )
    with pytest.raises(InputError, match="windows .* no attention over the whole image"):
        vitprobe.maps(swin, torch.randn(1, 3, 56, 56))


def test_a_model_without_attention():
    with pytest.raises(InputError, match="resnet20 has no attention"):
        vitprobe.maps("resnet20", "digits", 0)


def test_what_cannot_be_read_is_named(pictures):
    class Gate(nn.Module):
        """Named after attention, and none."""

        def forward(self, x):
            return x

    Gate.__name__ = "GatedAttention"
    model = small_vit()
    model.blocks[1].mlp.drop2 = Gate()
    with pytest.warns(VitprobeWarning, match="blocks.1.mlp.drop2"):
        result = vitprobe.maps(model, pictures, 0)
    assert list(result["left_out"].values) == ["blocks.1.mlp.drop2"]
