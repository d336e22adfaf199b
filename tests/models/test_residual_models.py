"""The residual sums of models as people have them: names and kinds."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from vitprobe.models import load_model
from vitprobe.models.residual import residual_sums


def images(size: int) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def found(model: nn.Module, size: int = 32) -> list[tuple[str, str]]:
    """Name and kind of each residual sum."""
    return [(each.name, each.kind) for each in residual_sums(model, images(size))]


def of_blocks(paths: list[str], attention: str, mlp: str) -> list[tuple[str, str]]:
    kinds = ((attention, "attention"), (mlp, "mlp"))
    return [(f"{path}.{part}", kind) for path in paths for part, kind in kinds]


def numbered(path: str, n: int = 2) -> list[str]:
    return [f"{path}.{k}" for k in range(n)]


BLOCKS = numbered("blocks")
VIT = {"img_size": 32, "depth": 2, "embed_dim": 32, "num_heads": 2}
TIMM = {
    "vit": (("vit_tiny_patch16_224", VIT), of_blocks(BLOCKS, "attn", "mlp")),
    "deit": (("deit_tiny_distilled_patch16_224", VIT), of_blocks(BLOCKS, "attn", "mlp")),
    "layer scale": (
        ("vit_tiny_patch16_224", VIT | {"init_values": 0.1, "drop_path_rate": 0.5}),
        of_blocks(BLOCKS, "attn", "mlp"),
    ),
    "registers": (
        ("vit_small_patch14_reg4_dinov2", VIT | {"patch_size": 8}),
        of_blocks(BLOCKS, "attn", "mlp"),
    ),
    "eva": (
        ("eva02_tiny_patch14_224", VIT | {"patch_size": 8}),
        of_blocks(BLOCKS, "attn", "mlp"),
    ),
    "swin": (
        (
            "swin_tiny_patch4_window7_224",
            {"img_size": 32, "depths": (2, 1), "embed_dim": 16, "num_heads": (2, 2)}
            | {"window_size": 4},
        ),
        of_blocks([*numbered("layers.0.blocks"), "layers.1.blocks.0"], "attn", "mlp"),
    ),
    "xcit": (
        ("xcit_nano_12_p16_224", {"depth": 1, "cls_attn_layers": 1}),
        [
            ("blocks.0.attn", "attention"),
            ("blocks.0.local_mp", "mlp"),
            ("blocks.0.mlp", "mlp"),
            ("cls_attn_blocks.0.attn", "attention"),
            ("cls_attn_blocks.0.mlp", "mlp"),
        ],
    ),
    "convnext": (
        ("convnext_atto", {"depths": (1, 1, 2, 1)}),
        [(f"stages.{k}.blocks.{b}", "block") for k, b in ((0, 0), (1, 0), (2, 0), (2, 1), (3, 0))],
    ),
    "resnet": (
        ("resnet18", {}),
        [(f"layer{k}.{b}", "block") for k in (1, 2, 3, 4) for b in (0, 1)],
    ),
    "resnet-d, average pooling on the shortcut": (
        ("resnet26d", {}),
        [(f"layer{k}.{b}", "block") for k in (1, 2, 3, 4) for b in (0, 1)],
    ),
    "pre-activation": (
        ("resnetv2_50", {"layers": (1, 2, 1, 1)}),
        [(f"stages.{k}.blocks.{b}", "block") for k, b in ((0, 0), (1, 0), (1, 1), (2, 0), (3, 0))],
    ),
    "a skip that is scaled": (
        ("nfnet_f0", {"pretrained": False, "depths": (1, 1, 1, 1)}),
        [(f"stages.{k}.0", "block") for k in range(4)],
    ),
    "pooling mixes tokens": (
        ("poolformer_s12", {}),
        [
            (f"stages.{k}.blocks.{b}.{part}", "mlp")
            for k, depth in enumerate((2, 2, 6, 2))
            for b in range(depth)
            for part in ("token_mixer", "mlp")
        ],
    ),
    "one mlp": (("gmlp_ti16_224", {}), [(f"blocks.{k}", "mlp") for k in range(30)]),
    "no skip": (("vgg11", {"mlp_ratio": 0.01}), []),
    "no sum": (("densenet121", {"block_config": (1, 1, 1, 1)}), []),
}
SIZES = {"xcit": 224, "one mlp": 224}  # others: 32 pixels


@pytest.mark.parametrize("case", TIMM)
def test_timm(case):
    (name, options), expected = TIMM[case]
    assert found(timm.create_model(name, **options), SIZES.get(case, 32)) == expected


@pytest.mark.parametrize("kind", ["MixerBlock", "ResBlock"])
def test_mlps_over_tokens(kind):
    mixer = timm.models.mlp_mixer
    layer = {"ResBlock": mixer.Affine}.get(kind, nn.LayerNorm)
    ratio = 4.0 if kind != "MixerBlock" else (0.5, 4.0)
    model = mixer.MlpMixer(
        img_size=32,
        num_blocks=2,
        embed_dim=16,
        block_layer=getattr(mixer, kind),
        norm_layer=layer,
        mlp_ratio=ratio,
    )
    expected = {
        "MixerBlock": [(f"{b}.{m}", "mlp") for b in BLOCKS for m in ("mlp_tokens", "mlp_channels")],
        "ResBlock": [
            (f"{b}.{m}", "mlp") for b in BLOCKS for m in ("linear_tokens", "mlp_channels")
        ],
    }
    assert found(model) == expected[kind]


def test_torchvision():
    stages = [(f"layer{k}.{b}", "block") for k in (1, 2, 3, 4) for b in (0, 1)]
    assert found(torchvision.models.resnet18(), 64) == stages
    vit = torchvision.models.VisionTransformer(32, 8, 2, 2, 16, 32)
    paths = [f"encoder.layers.encoder_layer_{k}" for k in range(2)]
    assert found(vit) == of_blocks(paths, "self_attention", "mlp")
    swin = torchvision.models.SwinTransformer([4, 4], 16, [2], [2], [4, 4])
    assert found(swin) == of_blocks(numbered("features.1"), "attn", "mlp")


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_transformer_encoder(norm_first, batch_first):
    layer = nn.TransformerEncoderLayer(16, 2, 32, norm_first=norm_first, batch_first=batch_first)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    model = nn.Sequential(nn.Conv2d(3, 16, 8, 8), nn.Flatten(2), Transposed(batch_first), encoder)
    expected = of_blocks(numbered("3.layers"), "self_attn", "mlp")
    assert found(model) == expected


class Transposed(nn.Module):
    """(B, C, N) -> (B, N, C), or (N, B, C)."""

    def __init__(self, batch_first: bool):
        super().__init__()
        self.axes = (0, 2, 1) if batch_first else (2, 0, 1)

    def forward(self, x):
        return x.permute(self.axes)


@pytest.mark.parametrize("kind", ["ViT", "Dinov2", "Dinov2WithRegisters", "DeiT"])
def test_transformers(kind):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "mlp_ratio": 2, "patch_size": 8, "image_size": 32}
    config = getattr(transformers, f"{kind}Config")(**sizes)
    model = getattr(transformers, f"{kind}Model")(config)
    names = found(model)
    assert [kind for _, kind in names] == ["attention", "mlp"] * 2
    assert [name.rpartition(".")[2] for name, _ in names] == ["attention", "mlp"] * 2


OWN = {
    "vit(depth=2)": of_blocks(BLOCKS, "attn", "mlp"),
    "vit-zhu2023(depth=2)": of_blocks(numbered("transformer.layers"), "0", "1"),
    "vit-small-data(depth=2)": of_blocks(numbered("transformer.layers"), "0", "1"),
    "resnet20": [(f"layer{k}.{b}", "block") for k in (1, 2, 3) for b in range(3)],
    "lambda_resnet26": [(f"layer{k}.{b}", "block") for k in (1, 2, 3, 4) for b in range(2)],
}


@pytest.mark.parametrize("spec", OWN)
def test_own_models(spec):
    assert found(load_model(spec)) == OWN[spec]
