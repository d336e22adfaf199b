"""vit-zhu2023: what it computes, and the layouts in which its relatives are saved."""

import pytest
import torch
from torch.nn import functional as F
from vit_pytorch import ViT

import vitprobe
from vitprobe.errors import InputError
from vitprobe.models import build_model, load_model
from vitprobe.models.blocks import block_paths

NAME = "vit-zhu2023"
SMALL = {"patch_size": 8, "dim": 32, "heads": 2, "depth": 2, "mlp_dim": 24}


@pytest.fixture
def images():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def outputs(model, images):
    with torch.no_grad():
        return model.eval()(images)


def saved(folder, state, **beside):
    torch.save({"net": state} | beside, folder / "w.pth")
    return f"{NAME}@{folder / 'w.pth'}"


def from_the_keys(state, images, patch, heads):
    """The model written out anew in float64, from a state's published names; class token."""
    w = {key: value.double() for key, value in state.items()}

    def norm(x, key):
        return F.layer_norm(x, x.shape[-1:], w[f"{key}.weight"], w[f"{key}.bias"])

    def linear(x, key):
        return x @ w[f"{key}.weight"].T + w[f"{key}.bias"]

    logits = []
    for image in images.double():
        steps = range(0, image.shape[1], patch)
        cut = [image[:, y : y + patch, x : x + patch] for y in steps for x in steps]
        pixels = torch.stack([part.permute(1, 2, 0).reshape(-1) for part in cut])
        x = torch.cat([w["cls_token"][0], linear(pixels, "to_patch_embedding.1")])
        x = x + w["pos_embedding"][0]
        for i in range(2):
            attention, mlp = (f"transformer.layers.{i}.{j}.fn" for j in (0, 1))
            q, k, v = (norm(x, f"{attention}.norm") @ w[f"{attention}.fn.to_qkv.weight"].T).chunk(
                3, dim=-1
            )
            done = []
            for h in range(heads):
                own = slice(64 * h, 64 * (h + 1))
                done.append((q[:, own] @ k[:, own].T / 8).softmax(-1) @ v[:, own])
            x = x + linear(torch.cat(done, dim=-1), f"{attention}.fn.to_out.0")
            hidden = F.gelu(linear(norm(x, f"{mlp}.norm"), f"{mlp}.fn.net.0"))
            x = x + linear(hidden, f"{mlp}.fn.net.3")
        logits.append(linear(norm(x[0], "mlp_head.0"), "mlp_head.1"))
    return torch.stack(logits)


def test_it_is_the_paper_s_model(images):
    model = build_model(NAME, architecture=SMALL, seed=1)
    expected = from_the_keys(model.state_dict(), images, patch=8, heads=2)
    torch.testing.assert_close(outputs(model, images).double(), expected, rtol=1e-4, atol=1e-5)


def test_its_keys_are_the_published_ones():
    keys = set(load_model(NAME).state_dict())
    layers = [
        *("0.fn.norm.weight", "0.fn.norm.bias", "0.fn.fn.to_qkv.weight"),
        *("0.fn.fn.to_out.0.weight", "0.fn.fn.to_out.0.bias", "1.fn.norm.weight"),
        *("1.fn.norm.bias", "1.fn.fn.net.0.weight", "1.fn.fn.net.0.bias"),
        *("1.fn.fn.net.3.weight", "1.fn.fn.net.3.bias"),
    ]
    assert keys == {
        *("to_patch_embedding.1.weight", "to_patch_embedding.1.bias", "pos_embedding"),
        *("cls_token", "mlp_head.0.weight", "mlp_head.0.bias"),
        *("mlp_head.1.weight", "mlp_head.1.bias"),
        *(f"transformer.layers.{i}.{key}" for i in range(6) for key in layers),
    }


@pytest.mark.parametrize("less", ["fn.", "fn.fn."])
def test_a_relative_with_fewer_wrappers(tmp_path, images, less):
    """PreNorm without Residual is published with one `fn` less; with neither there is none."""
    model = build_model(NAME, num_classes=4, architecture=SMALL, seed=1)
    renamed = {}
    for key, value in model.state_dict().items():
        new = key.replace("fn.fn.", "fn.fn."[len(less) :]).replace(".fn.norm.", ".norm.")
        renamed[new] = value
    if less == "fn.":
        assert "transformer.layers.1.0.fn.to_qkv.weight" in renamed
    else:
        assert "transformer.layers.1.0.to_qkv.weight" in renamed
    assert "transformer.layers.1.1.norm.bias" in renamed
    again = load_model(saved(tmp_path, renamed))
    assert again.provenance["architecture"] == model.provenance["architecture"]
    assert torch.equal(outputs(again, images), outputs(model, images))


@pytest.mark.parametrize(("dim", "heads"), [(32, 2), (64, 1)])
def test_vit_pytorch_s_own_model_of_today(tmp_path, images, dim, heads):
    """Norms about the patches, a last norm before the head, and no to_out where one head is all."""
    options = {"patch_size": 8, "dim": dim, "depth": 2, "heads": heads, "mlp_dim": 24}
    torch.manual_seed(0)
    theirs = ViT(image_size=32, num_classes=5, **options)
    for parameter in theirs.parameters():  # so that no norm is the identity
        torch.nn.init.normal_(parameter, std=0.3)
    assert ("transformer.layers.0.0.to_out.0.weight" in theirs.state_dict()) == (heads == 2)
    ours = load_model(saved(tmp_path, theirs.state_dict()))
    assert ours.provenance["architecture"] == options | {"dropout": 0.0, "pool": "cls"}
    assert (ours.provenance["num_classes"], ours.provenance["image_size"]) == (5, 32)
    torch.testing.assert_close(outputs(ours, images), outputs(theirs, images))
    # what is read is written in our own layout, and read from that again
    again = load_model(saved(tmp_path, ours.state_dict()))
    assert torch.equal(outputs(again, images), outputs(ours, images))


def test_a_last_norm_before_averaging_is_another_model(tmp_path):
    theirs = ViT(
        image_size=32, num_classes=5, pool="mean", patch_size=8, dim=32, depth=1, heads=2, mlp_dim=8
    )
    with pytest.raises(InputError, match=r"norms its tokens \(transformer.norm\) before it aver"):
        load_model(saved(tmp_path, theirs.state_dict()))


def test_two_layouts_in_one_file_are_refused(tmp_path):
    state = build_model(NAME, architecture=SMALL).state_dict()
    state["transformer.layers.0.0.norm.weight"] = torch.zeros(32)
    with pytest.raises(InputError, match="mixes layouts"):
        load_model(saved(tmp_path, state))


def test_heads_of_another_width_are_refused(tmp_path):
    state = build_model(NAME, architecture=SMALL).state_dict()
    for i in range(2):
        state[f"transformer.layers.{i}.0.fn.fn.to_qkv.weight"] = torch.zeros(3 * 96, 32)
    with pytest.raises(
        InputError, match=r"attention is 96 wide .*\(288, 32\)\), which heads of 64"
    ):
        load_model(saved(tmp_path, state))


def test_heads_come_from_the_weights(tmp_path):
    spec = saved(tmp_path, build_model(NAME, architecture=SMALL).state_dict())
    assert "assumed" not in load_model(spec).provenance["note"]
    with pytest.raises(
        InputError, match=r"heads 2 \(transformer.*to_qkv.weight \(384, 32\)\), but"
    ):
        build_model(spec, architecture={"heads": 4})


def test_another_model_s_weights_are_refused_by_their_keys(tmp_path):
    with pytest.raises(
        InputError, match=r"does not fit vit-zhu2023: .*unexpected \(cls_token|pos_"
    ):
        load_model(saved(tmp_path, load_model("vit").state_dict()))


def test_svhn_s_patches_and_averaging():
    model = build_model(NAME, architecture={"patch_size": 4, "pool": "mean"})
    assert model.pos_embedding.shape == (1, 64, 64) and model.cls_token is None
    seen = []
    model.transformer.register_forward_hook(lambda *call: seen.append(call[2]))
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        logits = model(x)
        assert torch.equal(logits, model.mlp_head(seen[0].mean(1)))


def test_dropout_is_after_embedding_projection_and_in_the_mlp():
    model = build_model(NAME, architecture=SMALL | {"dropout": 0.5})
    rates = {name: m.p for name, m in model.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert set(rates.values()) == {0.5}
    assert len(rates) == 1 + 2 * 3


def test_its_attention_and_its_blocks_are_found():
    model = build_model(NAME, architecture={"depth": 3})
    assert block_paths(model) == [f"transformer.layers.{i}" for i in range(3)]
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    result = vitprobe.attention(model, data=x)
    assert dict(result.sizes) == {"layer": 3, "head": 8, "left_out": 0}
    assert list(result["layer"].values) == [f"transformer.layers.{i}.0.fn.fn" for i in range(3)]
    # 4 x 4 patches of 8 px: nearly uniform attention of random weights has the grid's mean distance
    centres = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0)) * 8
    uniform = float(torch.cdist(centres, centres).mean())
    assert abs(float(result["distance"].mean()) / uniform - 1) < 0.1
