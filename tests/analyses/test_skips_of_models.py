"""Skips of models as people have them: their numbers are those of the modules' own tensors."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

import vitprobe

VIT = {"img_size": 32, "depth": 2, "embed_dim": 24, "num_heads": 2}
TRANSFORMERS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
TRANSFORMERS |= {"intermediate_size": 32, "mlp_ratio": 2, "patch_size": 8, "image_size": 32}


def from_transformers(kind):
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{kind}Config")(**TRANSFORMERS, layerscale_value=0.3)
    return getattr(transformers, f"{kind}Model")(config)


def encoder(norm_first):
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=norm_first)
    layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(nn.Conv2d(3, 16, 8, 8), Tokens(), layers)


class Tokens(nn.Module):
    def forward(self, x):
        return x.flatten(2).transpose(1, 2)


# The model, its leading tokens, and of some layers where z and f are: what a module is given (in)
# or gives (out). BLOCK is the second one, whose name depends on the version of transformers.
CASES = {
    "timm ViT": (
        lambda: timm.create_model("vit_tiny_patch16_224", **VIT), 1,
        {"blocks.1.attn": ("blocks.1 in", "blocks.1.attn out"),
         "blocks.1.mlp": ("blocks.1.norm2 in", "blocks.1.mlp out")},
    ),
    "DeiT, layer scale and stochastic depth": (
        lambda: timm.create_model("deit_tiny_distilled_patch16_224", **VIT, init_values=0.2,
                                  drop_path_rate=0.5), 2,
        {"blocks.1.attn": ("blocks.1 in", "blocks.1.ls1 out"),
         "blocks.1.mlp": ("blocks.1.norm2 in", "blocks.1.ls2 out")},
    ),
    "Swin": (
        lambda: timm.create_model("swin_tiny_patch4_window7_224", img_size=32, depths=(2, 1),
                                  embed_dim=16, num_heads=(2, 2), window_size=4), 0,
        {"layers.0.blocks.1.attn": ("layers.0.blocks.1 in", "layers.0.blocks.1.drop_path1 out"),
         "layers.1.blocks.0.mlp": ("layers.1.blocks.0.norm2 in",
                                   "layers.1.blocks.0.drop_path2 out")},
    ),
    "Mixer": (
        lambda: timm.models.mlp_mixer.MlpMixer(img_size=32, num_blocks=2, embed_dim=24), 0,
        {"blocks.1.mlp_tokens": ("blocks.1 in", "blocks.1.mlp_tokens out, turned"),
         "blocks.1.mlp_channels": ("blocks.1.norm2 in", "blocks.1.mlp_channels out")},
    ),
    "ConvNeXt": (
        lambda: timm.create_model("convnext_atto", depths=(1, 1, 2, 1), ls_init_value=0.3), 0,
        {"stages.2.blocks.1": ("stages.2.blocks.1 in, map",
                               "stages.2.blocks.1.drop_path out, map")},
    ),
    "timm ResNet, downsampling": (
        lambda: timm.create_model("resnet26d", zero_init_last=False), 0,
        {"layer2.0": ("layer2.0.downsample out, map", "layer2.0.bn3 out, map"),
         "layer2.1": ("layer2.1 in, map", "layer2.1.bn3 out, map")},
    ),
    "torchvision ResNet": (
        torchvision.models.resnet50, 0,
        {"layer1.0": ("layer1.0.downsample out, map", "layer1.0.bn3 out, map"),
         "layer3.1": ("layer3.1 in, map", "layer3.1.bn3 out, map")},
    ),
    "torchvision ViT": (
        lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 16, 32), 1,
        {"encoder.layers.encoder_layer_1.self_attention": (
            "encoder.layers.encoder_layer_1 in", "encoder.layers.encoder_layer_1.dropout out"),
         "encoder.layers.encoder_layer_1.mlp": (
            "encoder.layers.encoder_layer_1.ln_2 in", "encoder.layers.encoder_layer_1.mlp out")},
    ),
    "nn.TransformerEncoder, norm first": (
        lambda: encoder(True), 0,
        {"2.layers.1.self_attn": ("2.layers.1 in", "2.layers.1.dropout1 out"),
         "2.layers.1.mlp": ("2.layers.1.norm2 in", "2.layers.1.dropout2 out")},
    ),
    "nn.TransformerEncoder, norm last": (
        lambda: encoder(False), 0,
        {"2.layers.1.self_attn": ("2.layers.1 in", "2.layers.1.dropout1 out"),
         "2.layers.1.mlp": ("2.layers.1.linear1 in", "2.layers.1.dropout2 out")},
    ),
    "transformers ViT": (
        lambda: from_transformers("ViT"), 1,
        {"BLOCK.attention": ("BLOCK in", "BLOCK.attention out")},
    ),
    "transformers DINOv2": (
        lambda: from_transformers("Dinov2"), 1,
        {"BLOCK.attention": ("BLOCK in", "BLOCK.layer_scale1 out"),
         "BLOCK.mlp": ("BLOCK.norm2 in", "BLOCK.layer_scale2 out")},
    ),
    "own ViT": (
        lambda: vitprobe.load_model("vit(depth=2,dim=32,mlp_dim=48)"), 1,
        {"blocks.1.attn": ("blocks.1 in", "blocks.1.attn out"),
         "blocks.1.mlp": ("blocks.1.norm2 in", "blocks.1.mlp out")},
    ),
    "own ResNet": (
        lambda: vitprobe.load_model("resnet20"), 0,
        {"layer1.1": ("layer1.1 in, map", "layer1.1.bn2 out, map")},
    ),
}  # fmt: skip


def tensors(model, images, places):
    """What modules are given or give in one forward, as (n, ..., channels)."""
    found, hooks = {}, []
    for place in places:
        name, side = place.partition(",")[0].split()

        def keep(module, args, keywords, output, place=place, side=side):
            x = output if side == "out" else (*args, *keywords.values())[0]
            x = (x[0] if isinstance(x, tuple) else x).clone()
            if place.endswith("turned"):
                x = x.transpose(1, 2)
            found[place] = x.movedim(1, -1) if place.endswith("map") else x

        first = (model.get_submodule(name), place, side)
        hooks.append(_hook(*first, keep, found))
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return found


def _hook(module, place, side, keep, found):
    if side == "out":
        return module.register_forward_hook(keep, with_kwargs=True)
    before = lambda m, args, keywords: keep(m, args, keywords, None)  # noqa: E731
    return module.register_forward_pre_hook(before, with_kwargs=True)


@pytest.mark.parametrize("case", CASES)
def test_branches_are_what_the_modules_give(case):
    make, leading, layers = CASES[case]
    torch.manual_seed(0)
    model = make().double().eval()
    images = torch.randn(6, 3, 32, 32, dtype=torch.float64)
    result = vitprobe.skips(model, images, batch_size=4)
    block = next((n for n, _ in model.named_modules() if n.endswith(("layer.1", "layers.1"))), "")
    for layer, places in layers.items():
        layer, *places = (name.replace("BLOCK", block) for name in (layer, *places))
        assert layer in result["layer"].values, result["layer"].values
        tensor = tensors(model, images, places)
        z, f = (tensor[place] for place in places)
        z, f = (x.flatten(1, -2)[:, leading:] for x in (z, f.reshape(z.shape)))
        ratio = (z.norm(dim=-1) / f.norm(dim=-1)).mean(1)
        cosine = nn.functional.cosine_similarity(z, f, dim=-1, eps=0).mean(1)
        found = result.sel(layer=layer, group="patches")
        for name, expected in (("ratio", ratio), ("cosine", cosine)):
            assert found[name].item() == pytest.approx(expected.mean().item(), rel=1e-9), layer
            error = expected.std().item() / 6**0.5
            np.testing.assert_allclose(found[f"{name}_se"], error, rtol=1e-6, err_msg=layer)
