"""Options of our own ViTs: given, told by a checkpoint, guessed, contradicting each other."""

import pytest
import torch
from torch import nn

import vitprobe
from vitprobe.errors import InputError
from vitprobe.models import build_model, load_model
from vitprobe.models.architecture import MODELS, given_options
from vitprobe.models.zoo import VITS
from vitprobe.passes.provenance import as_attribute

OTHER = {
    "patch_size": 8,
    "dim": 192,
    "heads": 3,
    "depth": 2,
    "mlp_dim": 100,
    "dropout": 0.25,
    "pool": "mean",
}


def saved(folder, model, **beside):
    path = folder / "w.pt"
    torch.save({"model_state_dict": model.state_dict()} | beside, path)
    return path


def same_outputs(a, b):
    x = torch.randn(2, 3, *a.transform.image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.equal(a(x), b(x))


def test_the_names_with_options():
    assert tuple(VITS) == MODELS


def test_the_options_of_vit_are_where_they_belong():
    model = build_model("vit", image_size=64, architecture=OTHER)
    assert model.patch_embed.proj.kernel_size == (8, 8)
    assert (model.embed_dim, len(model.blocks), model.blocks[0].attn.num_heads) == (192, 2, 3)
    assert model.blocks[0].mlp.fc1.out_features == 100
    assert model.cls_token is None and model.global_pool == "avg"
    rates = {name: m.p for name, m in model.named_modules() if isinstance(m, nn.Dropout)}
    dropped = {name.rpartition(".")[2] for name, rate in rates.items() if rate}
    assert dropped == {"pos_drop", "proj_drop", "drop1", "drop2"}
    assert {rate for rate in rates.values() if rate} == {0.25}


@pytest.mark.parametrize("dim", [96, 128, 192, 320])
def test_an_mlp_has_the_width_asked_for(dim):
    for width in (1, 97, 100, 333, 1023):
        with torch.device("meta"):
            model = build_model("vit", architecture={"dim": dim, "mlp_dim": width, "depth": 1})
        assert model.blocks[0].mlp.fc1.out_features == width


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_tells_its_architecture(tmp_path, name):
    asked = OTHER | ({} if name == "vit" else {"dim": 96})
    model = build_model(name, num_classes=7, image_size=64, architecture=asked)
    assert model.provenance["architecture"] == asked
    # pooling over all tokens, the class token too, and heads that share dim leave no trace
    held = {key: asked[key] for key in ("heads", "pool")}
    again = load_model(f"{name}@{saved(tmp_path, model, architecture=held)}")
    assert again.provenance["architecture"] == asked | {"dropout": 0.0}
    assert (again.provenance["num_classes"], again.provenance["image_size"]) == (7, 64)
    assert same_outputs(model, again)
    path = saved(tmp_path, model, architecture=model.provenance["architecture"])
    assert load_model(f"{name}@{path}").provenance["architecture"] == asked


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("patch_size", 8, r"patch_size 4 \(patch_embed.proj.weight \(128, 3, 4, 4\)\), but patch_"),
        ("dim", 64, r"dim 128 \(patch_embed.proj.weight \(128, 3, 4, 4\)\), but dim 64"),
        ("depth", 12, r"depth 6 \(blocks.5.norm1.weight\), but depth 12"),
        (
            "mlp_dim",
            1024,
            r"mlp_dim 512 \(blocks.0.mlp.fc1.weight \(512, 128\)\), but mlp_dim 1024",
        ),
        ("pool", "mean", r"pool cls \(cls_token\), but pool mean"),
        ("heads", 8, r"heads 4 \(heads of its architecture\), but heads 8"),
    ],
)
def test_a_contradiction_names_both_and_the_key(tmp_path, option, value, words):
    path = saved(tmp_path, build_model("vit"), architecture={"heads": 4, "dropout": 0.1})
    with pytest.raises(InputError, match=words) as caught:
        build_model(f"vit@{path}", architecture={option: value})
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_what_agrees_or_has_no_weights_may_be_given(tmp_path):
    path = saved(tmp_path, build_model("vit"), architecture={"heads": 4, "dropout": 0.1})
    model = build_model(f"vit@{path}", architecture={"dim": 128, "dropout": 0.3, "pool": None})
    assert model.provenance["architecture"]["dropout"] == 0.3 and model.pos_drop.p == 0.3
    assert build_model(f"vit@{path}").pos_drop.p == 0.1


def test_heads_that_the_file_does_not_say_are_guessed_and_said(tmp_path):
    path = saved(tmp_path, build_model("vit"))
    model = build_model(f"vit@{path}")
    assert model.provenance["architecture"]["heads"] == 4
    assert model.provenance["note"].endswith("4 heads are assumed: the file does not say")
    model = build_model(f"vit@{path}", architecture={"heads": 2})
    assert model.blocks[0].attn.num_heads == 2 and "assumed" not in model.provenance["note"]
    for dim, heads in {192: 3, 96: 3, 160: 5, 64: 1}.items():
        small = build_model("vit", architecture={"dim": dim, "heads": 1, "depth": 1})
        model = build_model(f"vit@{saved(tmp_path, small)}")
        assert model.provenance["architecture"]["heads"] == heads
    odd = saved(tmp_path, build_model("vit", architecture={"dim": 20, "heads": 5, "depth": 1}))
    with pytest.raises(InputError, match="does not say how many heads its vit of dim 20"):
        build_model(f"vit@{odd}")
    assert build_model(f"vit@{odd}", architecture={"heads": 5}).blocks[0].attn.num_heads == 5


@pytest.mark.parametrize("stored", ["vit", None, {"heads": "many"}, {"heads": 0, "pool": "max"}])
def test_another_program_s_architecture_is_passed_over(tmp_path, stored):
    path = saved(tmp_path, build_model("vit"), architecture=stored)
    assert "4 heads are assumed" in build_model(f"vit@{path}").provenance["note"]


def test_the_image_size_is_read_with_the_patch(tmp_path):
    patches = {"patch_size": 7, "depth": 1}
    path = saved(tmp_path, build_model("vit", image_size=42, architecture=patches))
    assert build_model(f"vit@{path}", fallback_image_size=32).provenance["image_size"] == 42
    smaller = build_model(f"vit@{path}", image_size=28)
    assert "positions interpolated from 42 to 28 px" in smaller.provenance["note"]
    with pytest.raises(InputError, match="patches of 7 px, which don't fill 30 x 30 px"):
        build_model(f"vit@{path}", image_size=30)
    assert build_model("vit", architecture=patches).provenance["image_size"] == 28
    with pytest.raises(InputError, match="patches of 7 px, which don't fill 32 x 32 px"):
        build_model("vit", architecture=patches, fallback_image_size=32)


@pytest.mark.parametrize(
    "spec", ["resnet18", "resnet20", "lambda_resnet26", "test_vit", "torchvision:squeezenet1_1"]
)
def test_other_models_have_no_options(spec):
    with pytest.raises(
        InputError, match=f"{spec} has no .*dropout 0.1 was given.*vit, vit-zhu2023 or vit-small"
    ):
        build_model(spec, architecture={"dropout": 0.1, "dim": None})


def test_other_models_have_an_empty_architecture():
    model = build_model("resnet20", architecture={"dim": None, "dropout": None})
    assert model.provenance["architecture"] == {}


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("depht", 3, "no architecture option 'depht'; did you mean 'depth'"),
        ("dim", 0, "dim must be a whole number of at least 1, got 0"),
        ("heads", 2.5, "heads must be a whole number of at least 1, got 2.5"),
        ("depth", True, "depth must be a whole number of at least 1, got True"),
        ("dropout", 1, "dropout must be a number from 0 to below 1, got 1"),
        ("dropout", "none", "dropout must be a number"),
        ("pool", "max", "pool must be cls or mean, got 'max'"),
    ],
)
def test_values_that_no_model_can_have(option, value, words):
    with pytest.raises(InputError, match=words):
        given_options({option: value})


@pytest.mark.parametrize("name", ["vit", "vit-small-data"])
def test_heads_must_divide_the_width(name):
    with pytest.raises(InputError, match=f"{name} shares dim 128 .* 3 of them"):
        build_model(name, architecture={"heads": 3})


def test_a_result_says_which_architecture():
    assert as_attribute({"patch_size": 4, "pool": "cls"}) == "patch_size 4, pool cls"
    model = build_model("vit", architecture={"dim": 32, "heads": 2, "depth": 1, "mlp_dim": 8})
    result = vitprobe.attention(model, data=torch.randn(4, 3, 32, 32))
    assert result.attrs["model_architecture"] == (
        "patch_size 4, dim 32, heads 2, depth 1, mlp_dim 8, dropout 0.0, pool cls"
    )
