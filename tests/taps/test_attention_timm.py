"""Attention of timm's models: q, k and v give the input of the output projection."""

import pytest
import timm
import torch
from attention_reproduced import captured, check_against_projection, inputs_of

from vitprobe.taps import attention_sites


def images(size: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def made(name: str, **options) -> torch.nn.Module:
    torch.manual_seed(0)
    model = timm.create_model(name, **options)
    with torch.no_grad():  # biases and scales that start at 0 or 1 would hide a mistake
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 or "position_bias" in name or "attention_biases" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


GLOBAL = {
    "vit": ("vit_tiny_patch16_224", {"img_size": 48}, "proj", 48, 1 + 9),
    "not-square": ("vit_tiny_patch16_224", {"img_size": (32, 64)}, "proj", (32, 64), 1 + 8),
    "deit": ("deit_tiny_distilled_patch16_224", {"img_size": 48}, "proj", 48, 2 + 9),
    "dinov2": ("vit_small_patch14_reg4_dinov2", {"img_size": 56}, "proj", 56, 5 + 16),
    "eva": ("eva02_tiny_patch14_224", {"img_size": 56}, "norm", 56, 1 + 16),
    "beit": (
        "beit_base_patch16_224",
        {"img_size": 48, "embed_dim": 48, "num_heads": 3},
        "proj",
        48,
        1 + 9,
    ),
}


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("family", GLOBAL)
def test_global_attention(family, fused):
    name, options, projection, size, tokens = GLOBAL[family]
    model = made(name, depth=2, **options)
    for block in model.blocks:
        block.attn.fused_attn = fused
    height, width = size if isinstance(size, tuple) else (size, size)
    found = check_against_projection(model, images(64)[..., :height, :width], projection, 2)
    assert list(found) == ["blocks.0.attn", "blocks.1.attn"]
    assert all((one.site.tokens, one.site.per_image) == (tokens, 1) for one in found.values())
    assert [block.attn.fused_attn for block in model.blocks] == [fused, fused]


@pytest.mark.parametrize("fused", [True, False])
def test_swin_has_windows_and_their_mask_and_bias(fused):
    model = made(
        "swin_tiny_patch4_window7_224",
        img_size=56,
        depths=(2, 2),
        embed_dim=24,
        num_heads=(1, 2),
    )
    for stage in model.layers:
        for block in stage.blocks:
            block.attn.fused_attn = fused
    found = check_against_projection(model, images(56, 3), "proj", 4)
    assert [one.site.per_image for one in found.values()] == [4, 4, 1, 1]
    assert all(one.site.tokens == 49 for one in found.values())
    masked = found["layers.0.blocks.1.attn"].weights  # the shifted windows
    assert (masked < 1e-30).any() and not (found["layers.0.blocks.0.attn"].weights < 1e-30).any()


def check_weights(model, x, proj, value_of):
    """Dense weights: rows sum to 1, and with the module's own values give its output."""
    found = captured(model, x)
    inputs = inputs_of(model, x, lambda path: path.endswith(proj) or path in found)
    for name, one in found.items():
        assert one.site.source == "weights"
        assert torch.allclose(one.weights.sum(-1), torch.ones(()), atol=1e-6)
        v = value_of(model.get_submodule(name), inputs[name])
        assert v.shape[-1] == one.site.head_dim
        output = (one.weights @ v).transpose(1, 2)
        expected = inputs[f"{name}.{proj}"].reshape(output.flatten(2).shape)
        torch.testing.assert_close(output.flatten(2), expected, rtol=1e-5, atol=1e-5)
    return found


def test_swin_v2_gives_its_weights():
    model = made(
        "swinv2_tiny_window8_256",
        img_size=64,
        depths=(2, 2),
        embed_dim=24,
        num_heads=(1, 2),
    )

    def value(attn, x):
        qkv = attn.qkv(x) + torch.cat((attn.q_bias, attn.k_bias, attn.v_bias))
        return qkv.reshape(len(x), 64, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)[2]

    with torch.no_grad():
        found = check_weights(model, images(64), "proj", value)
    assert [one.site.per_image for one in found.values()] == [4, 4, 1, 1]
    assert [one.site.heads for one in found.values()] == [1, 1, 2, 2]


def test_levit_gives_its_weights_except_where_it_samples():
    model = made("levit_128s", img_size=96, embed_dim=(32, 48, 64), num_heads=(2, 3, 4))
    sites = attention_sites(model, images(96, 1))
    refused = [site for site in sites if site.reason]
    assert [site.tokens for site in sites if not site.reason] == [36] * 2 + [9] * 3 + [4] * 4
    assert [site.name for site in refused] == [
        "stages.1.downsample.attn_downsample",
        "stages.2.downsample.attn_downsample",
    ]
    assert refused[0].reason == "q and k have different numbers of tokens: 9 and 36"
    attn = model.stages[0].blocks[0].attn
    x = torch.randn(2, 36, 32)

    def value(attn, x):
        heads = attn.qkv(x).view(len(x), -1, attn.num_heads, 2 * attn.key_dim + attn.val_dim)
        return heads[..., 2 * attn.key_dim :].permute(0, 2, 1, 3)

    attn.eval()
    with torch.no_grad():
        [(name, one)] = captured(attn, x).items()
        output = (one.weights @ value(attn, x)).transpose(1, 2).flatten(2)
        expected = inputs_of(attn, x, lambda path: path == "proj")["proj"]
    assert name == "output" and one.site.source == "weights" and one.site.heads == 2
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)


def reasons(name, size, **options):
    sites = attention_sites(made(name, **options), images(size, 1))
    return {site.name: site.reason for site in sites}


CHANNELS = "channel attention: channels attend to channels, not tokens to tokens"


def test_channel_attention_is_refused():
    for size in (64, 96):  # fewer tokens than the 32 channels of a head, and more
        found = reasons("xcit_nano_12_p16_224", size, img_size=size, depth=1)
        assert found["blocks.0.attn"] == CHANNELS
    found = reasons("davit_tiny", 64, depths=(1, 1), embed_dims=(32, 64), num_heads=(2, 4))
    assert found == {
        "stages.0.blocks.0.0.attn": "",
        "stages.0.blocks.0.1.attn": CHANNELS,
        "stages.1.blocks.0.0.attn": "",
        "stages.1.blocks.0.1.attn": CHANNELS,
    }


@pytest.mark.parametrize("kind", ["q, k", "weights"])
def test_as_many_channels_in_a_head_as_tokens(kind):
    """No shape tells channels from tokens then: XCiT and DaViT against ViT and Swin v2."""
    tokens = torch.randn(2, 16, 32)  # heads of 16 channels
    if kind == "q, k":
        channel = timm.models.xcit.XCA(32, num_heads=2)
        token = timm.models.vision_transformer.Attention(32, num_heads=2)
    else:
        channel = timm.models.davit.ChannelAttention(32, num_heads=2)
        token = timm.models.swin_transformer_v2.WindowAttention(32, (4, 4), num_heads=2)
    [site] = attention_sites(channel, tokens)
    assert site.reason == CHANNELS
    [site] = attention_sites(torch.nn.Sequential(token), tokens)
    assert (site.reason, site.name, site.source, site.tokens) == ("", "0", kind, 16)


def test_talking_heads_are_refused_by_name():
    found = reasons("cait_xxs24_224", 48, img_size=48, depth=1)
    assert found == {
        "blocks.0.attn": "talking heads: its proj_l and proj_w mix the attention of the heads",
        "blocks_token_only.0.attn": "q and k have different numbers of tokens: 1 and 10",
        "blocks_token_only.1.attn": "q and k have different numbers of tokens: 1 and 10",
    }


def test_a_softmax_that_is_mixed_with_another_is_refused():
    found = reasons("convit_tiny", 48, img_size=48, depth=1, local_up_to_layer=1)
    assert set(found.values()) == {"its softmax is changed before it is multiplied with the values"}


def test_spatial_reduction_is_refused():
    found = reasons("pvt_v2_b0", 64, depths=(1, 1, 1, 1))
    assert found["stages.0.blocks.0.attn"] == "q and k have different numbers of tokens: 256 and 4"
    assert found["stages.3.blocks.0.attn"] == ""  # no reduction in its last stage


def test_a_model_without_attention_has_no_site():
    assert attention_sites(made("resnet10t"), images(32, 1)) == []
