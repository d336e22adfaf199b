"""Attention of Hugging Face models, made from configurations: nothing is downloaded."""

import pytest
import torch
from attention_reproduced import captured, check_against_projection, inputs_of

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SMALL = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "image_size": 48,
    "patch_size": 16,
}
FAMILIES = {"ViT": 10, "DeiT": 11, "Dinov2": 10, "Dinov2WithRegisters": 14}  # tokens


def made(family: str, implementation: str) -> torch.nn.Module:
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**SMALL)
    config._attn_implementation = implementation
    return getattr(transformers, f"{family}Model")(config)


@pytest.mark.parametrize("family", FAMILIES)
def test_sdpa(family):
    images = torch.randn(2, 3, 48, 48)
    found = check_against_projection(made(family, "sdpa"), images, "o_proj", 2)
    assert all(one.site.tokens == FAMILIES[family] for one in found.values())
    assert all((one.site.source, one.site.heads) == ("q, k", 3) for one in found.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_eager_gives_the_weights_that_the_model_returns(family):
    model, images = made(family, "eager"), torch.randn(2, 3, 48, 48)
    found = captured(model, images)
    with torch.no_grad():
        returned = model.eval()(images, output_attentions=True).attentions
    assert len(found) == len(returned) == 2
    for one, weights in zip(found.values(), returned, strict=True):
        assert one.site.source == "weights" and one.site.tokens == FAMILIES[family]
        assert torch.allclose(one.weights.sum(-1), torch.ones(()), atol=1e-6)
        torch.testing.assert_close(one.weights, weights, rtol=1e-5, atol=1e-6)


def test_eager_weights_with_the_models_values_give_its_output():
    model, images = made("ViT", "eager"), torch.randn(2, 3, 48, 48)
    found = captured(model, images)
    inputs = inputs_of(model, images, lambda path: path.endswith(("v_proj", "o_proj")))
    for name, one in found.items():
        with torch.no_grad():
            v = model.get_submodule(f"{name}.v_proj")(inputs[f"{name}.v_proj"])
        output = (one.weights @ v.unflatten(2, (3, 8)).transpose(1, 2)).transpose(1, 2).flatten(2)
        torch.testing.assert_close(output, inputs[f"{name}.o_proj"], rtol=1e-5, atol=1e-5)


def test_eager_in_bfloat16_casts_its_weights_and_is_still_read():
    model = made("ViT", "eager").bfloat16()
    found = captured(model, torch.randn(2, 3, 48, 48).bfloat16())
    assert all(one.weights.dtype == torch.float32 for one in found.values())
