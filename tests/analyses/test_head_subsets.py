"""CKA of subsets of heads is that of their outputs side by side, computed directly in float64."""

import numpy as np
import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

import vitprobe
from vitprobe.errors import InputError, VitprobeWarning

HEADS, TOKENS, PATCH = 4, 17, 4


def small_vit():
    torch.manual_seed(0)
    model = VisionTransformer(
        img_size=16, patch_size=PATCH, embed_dim=32, depth=2, num_heads=HEADS, num_classes=5
    ).eval()
    for block in model.blocks:
        nn.init.normal_(block.attn.qkv.weight, std=0.5)
    return model


class Convolutions(nn.Module):
    """Two convolutions and a linear layer."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3, 2)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.two(self.one(x).relu()).mean((2, 3)))


@pytest.fixture
def other():
    torch.manual_seed(1)
    return Convolutions()


@pytest.fixture(scope="module")
def pictures():
    coarse = torch.randn(40, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    return nn.functional.interpolate(coarse, size=16, mode="bilinear")


def heads_of(model, layer, images):
    """softmax(qk) v, (n, H, T, D), and softmax(qk), both float64, from the layer's qkv."""
    found = []
    handle = model.blocks[layer].attn.qkv.register_forward_hook(lambda m, a, out: found.append(out))
    with torch.no_grad():
        model(images)
    handle.remove()
    q, k, v = found[0].double().reshape(len(images), TOKENS, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(-1)
    return weights @ v, weights


def hsic(x, y):
    """n(n-3) HSIC_1 of Song et al. 2012, equation 5, of rows x and y."""
    n = len(x)
    k, m = (z.flatten(1) @ z.flatten(1).T for z in (x, y))
    for gram in (k, m):
        gram.fill_diagonal_(0)
    total = (k * m.T).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2))
    return total - 2 / (n - 2) * (k.sum(0) * m.sum(1)).sum()


def direct_cka(x, y, batch):
    """Of sums over batches, as Nguyen et al. 2020."""
    parts = list(zip(x.split(batch), y.split(batch), strict=True))
    xy, xx, yy = (
        sum(hsic(*pair(a, b)) for a, b in parts)
        for pair in (lambda a, b: (a, b), lambda a, b: (a, a), lambda a, b: (b, b))
    )
    return (xy / (xx * yy).sqrt()).item()


@pytest.mark.parametrize("layer", [0, 1])
def test_cka_and_distance_are_those_computed_directly(other, pictures, layer):
    model, batch = small_vit(), 10
    result = vitprobe.head_subsets(
        model,
        other,
        pictures,
        layer=f"blocks.{layer}",
        sizes=[1, 3, 4],
        layers=["one", "two"],
        batch_size=batch,
    )
    outputs, weights = heads_of(model, layer, pictures)
    place = torch.stack(torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij"), -1)
    place = PATCH * place.reshape(16, 2).double()
    patches = weights[:, :, 1:, 1:]
    far = (patches * torch.cdist(place, place)).sum(-1) / patches.sum(-1)
    distance = far.mean((0, 2)).numpy()
    np.testing.assert_allclose(result["head_distance"], distance, rtol=1e-5)
    order = distance.argsort()
    expected = [order[i : i + k] for k in (1, 3, 4) for i in range(HEADS - k + 1)]
    assert list(result["heads"].values) == [", ".join(map(str, heads)) for heads in expected]
    np.testing.assert_array_equal(result["size"], [len(heads) for heads in expected])
    means = [distance[heads].mean() for heads in expected]
    np.testing.assert_allclose(result["distance"], means, rtol=1e-5)
    assert np.ptp(distance) > 0.01

    with torch.no_grad():
        one = other.one(pictures)
        compared = {"one": one.double(), "two": other.two(one.relu()).double()}
    assert list(result["layer"].values) == ["one", "two"]
    for row, heads in enumerate(expected):
        for column, y in enumerate(compared.values()):
            direct = direct_cka(outputs[:, heads], y, batch)
            assert result["cka"].values[row, column] == pytest.approx(direct, abs=1e-5)
    assert (result["cka_se"].values > 0).all() and result.attrs["se_df"] == 3


def test_defaults(pictures):
    torch.manual_seed(3)
    net = timm.create_model("resnet10t", num_classes=5)
    result = vitprobe.head_subsets(small_vit(), net.eval(), pictures, batch_size=20)
    assert result.attrs["layer_a"] == "blocks.0.attn"
    assert list(result["layer"].values) == [f"layer{i}.0" for i in (1, 2, 3, 4)]
    assert list(result["size"].values) == [1, 1, 1, 1, 2, 2, 2]


def test_a_model_against_itself(pictures):
    model = small_vit()
    result = vitprobe.head_subsets(model, model, pictures, sizes=[4], batch_size=20)
    assert list(result["layer"].values) == ["blocks.0", "blocks.1"]
    assert result["cka"].sel(layer="blocks.0").item() > 0


def test_silent_heads_are_blank_with_a_reason(other, pictures):
    model = small_vit()
    with torch.no_grad():  # the values of head 2 are the same for all images
        rows = slice(2 * 32 + 2 * 8, 2 * 32 + 3 * 8)
        model.blocks[0].attn.qkv.weight[rows] = 0
    result = vitprobe.head_subsets(model, other, pictures, layers="one", batch_size=20)
    reasons = result["blank_subset"].values
    blank = dict(zip(result["heads"].values, reasons, strict=True))
    assert blank["2"] == "constant activations"
    assert [heads for heads, why in blank.items() if why] == ["2"]
    assert np.isnan(result["cka"].values[list(blank).index("2")]).all()


def test_one_batch_has_no_error_bars(other, pictures):
    with pytest.warns(VitprobeWarning, match="one batch only"):
        result = vitprobe.head_subsets(small_vit(), other, pictures, layers="one", batch_size=40)
    assert result["cka_se"].isnull().all() and result["cka"].notnull().all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sizes": [5]}, "no subset of 5 heads: blocks.0.attn has 4"),
        ({"sizes": [0]}, "no subset of 0 heads"),
        ({"layer": "blocks.7"}, "no attention is called 'blocks.7'"),
        ({"layers": "three"}, "no layer matches 'three'"),
    ],
)
def test_what_is_not_there(other, pictures, options, words):
    with pytest.raises(InputError, match=words):
        vitprobe.head_subsets(small_vit(), other, pictures, **({"layers": "one"} | options))


def test_a_model_without_attention(other, pictures):
    with pytest.raises(InputError, match="Convolutions has no attention"):
        vitprobe.head_subsets(other, small_vit(), pictures)


def test_layers_that_stand_for_blocks_are_said_to(other, pictures):
    with pytest.warns(VitprobeWarning, match="Convolutions: the model lists no blocks"):
        result = vitprobe.head_subsets(small_vit(), other, pictures, batch_size=20)
    assert result["layer"].values.tolist() == ["one", "two"]
    assert "the model lists no blocks: 2 layers" in result.attrs["notes"]
