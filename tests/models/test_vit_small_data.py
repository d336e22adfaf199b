"""vit-small-data: vit-pytorch's model with our options, and how its attention is read."""

import torch
from vit_pytorch.vit_for_small_dataset import ViT

from vitprobe.models import build_model, load_model
from vitprobe.taps.attention import attention_sites, capture_attention
from vitprobe.taps.token_grid import TokenGrid, token_grid

NAME = "vit-small-data"


def test_it_is_the_package_s_model_with_narrow_heads():
    model = load_model(NAME)
    assert isinstance(model, ViT) and model.pos_embedding.shape == (1, 65, 128)
    attention = model.transformer.layers[0][0]
    assert attention.heads == 4 and attention.to_qkv.out_features == 3 * 128
    torch.testing.assert_close(attention.temperature.exp().item(), 32**-0.5)
    assert len(model.transformer.layers) == 6
    assert model.transformer.layers[5][1].net[1].out_features == 512


def test_the_first_tokens_see_five_images():
    model = load_model(NAME)
    assert model.to_patch_embedding.to_patch_tokens[2].in_features == 5 * 3 * 4 * 4


def test_dropout_is_everywhere_that_the_package_has_it():
    model = build_model(NAME, architecture={"dropout": 0.2, "depth": 2})
    rates = [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)]
    assert rates == [0.2] * (1 + 2 * 4)


def test_averaging_has_a_class_token_too():
    model = build_model(NAME, architecture={"pool": "mean", "depth": 1})
    seen = []
    model.transformer.register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        logits = model(torch.randn(2, 3, 32, 32))
        assert seen[0].shape == (2, 65, 128)
        assert torch.equal(logits, model.mlp_head(seen[0].mean(1)))


def test_its_attention_is_read_and_no_token_attends_to_itself():
    model = build_model(NAME, architecture={"depth": 2})
    images = torch.randn(3, 3, 32, 32)
    sites = attention_sites(model, images)
    assert [(site.heads, site.tokens, site.reason) for site in sites] == [(4, 65, "")] * 2
    diagonals = {}

    def take(site, attention):
        diagonal = attention.weights.diagonal(dim1=-2, dim2=-1)
        diagonals[site.name] = diagonal.abs().max().item(), attention.weights.sum(-1).min().item()

    with torch.no_grad(), capture_attention(model, sites, take):
        model(images)
    assert list(diagonals) == ["transformer.layers.0.0", "transformer.layers.1.0"]
    assert all(own == 0 and total > 0.999 for own, total in diagonals.values())
    assert token_grid(model, 65, (32, 32)) == TokenGrid(8, 8, 1, 4.0, 4.0)
