"""How a model was made is read off its weights, or said in the spec."""

import pytest
import timm
import torch
import torchvision

from vitprobe.errors import InputError
from vitprobe.models import build_model, load_model

NAME = "vit_tiny_patch16_224"


def made(folder, name=NAME, **options):
    """A model of timm's, made with these arguments, and its saved weights."""
    torch.manual_seed(1)
    model = timm.create_model(name, **options).eval()
    torch.save(model.state_dict(), folder / "w.pt")
    return model, folder / "w.pt"


def same_logits(loaded, model, channels=3):
    x = torch.randn(2, channels, *loaded.transform.image_size)
    with torch.no_grad():
        return torch.equal(loaded(x), model(x))


def test_an_imagenet_checkpoint_keeps_its_classes_and_its_size(tmp_path):
    """The data set asks for nothing: 1,000 classes and 224 px for ten classes of 32 px."""
    model, path = made(tmp_path, depth=1)
    loaded = build_model(f"{NAME}@{path}", fallback_classes=10, fallback_image_size=32)
    assert same_logits(loaded, model)
    assert (loaded.provenance["num_classes"], loaded.provenance["image_size"]) == (1000, 224)


def test_patch_and_size_are_those_of_the_tensors(tmp_path):
    model, path = made(tmp_path, img_size=32, patch_size=4, num_classes=10, depth=2)
    for spec in (NAME, f"{NAME}(img_size=32,patch_size=4)", f"{NAME}(patch_size=4, depth=2)"):
        loaded = load_model(f"{spec}@{path}")
        assert same_logits(loaded, model) and loaded.provenance["image_size"] == 32
    loaded = load_model(f"{NAME}@{path}")
    assert loaded.provenance["inferred"] == {"patch_size": 4, "depth": 2}
    assert "patch_size 4, depth 2 as its weights say" in loaded.provenance["note"]


@pytest.mark.parametrize(
    "options",
    [
        {"in_chans": 1},
        {"class_token": False, "global_pool": "avg"},  # 196 positions: not a class token and 195
        {"class_token": False, "global_pool": "avg", "fc_norm": False},
        {"global_pool": "avg"},
        {"reg_tokens": 4},
        {"reg_tokens": 4, "no_embed_class": True},
        {"no_embed_class": True},
        {"init_values": 1e-5},
        {"qkv_bias": False},
        {"qk_norm": True},
        {"pre_norm": True},
        {"mlp_ratio": 2.6},
        {"embed_dim": 384, "num_heads": 6},
        {"embed_dim": 96, "num_heads": 3},
        {"patch_size": (16, 8)},
        {"num_classes": 0},
    ],
    ids=str,
)
def test_what_else_tensors_tell(tmp_path, options):
    model, path = made(tmp_path, depth=1, **options)
    loaded = load_model(f"{NAME}@{path}")
    assert same_logits(loaded, model, options.get("in_chans", 3))
    assert loaded.provenance["image_size"] == 224


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("eva02_tiny_patch14_224", {"patch_size": 16, "num_reg_tokens": 2}),
        ("deit_tiny_distilled_patch16_224", {"img_size": 64}),
        ("beit_base_patch16_224", {}),
        ("vit_tiny_r_s16_p8_224", {}),
    ],
)
def test_other_transformers_of_timm_s(tmp_path, name, options):
    model, path = made(tmp_path, name, depth=1, num_classes=3, **options)
    assert same_logits(load_model(f"{name}@{path}"), model)


@pytest.mark.parametrize("name", ["resnet26", "convnext_atto", "mobilenetv3_small_050"])
def test_one_channel_for_networks_of_convolutions(tmp_path, name):
    model, path = made(tmp_path, name, in_chans=1, num_classes=3)
    loaded = load_model(f"{name}@{path}")
    assert same_logits(loaded, model, 1) and loaded.provenance["inferred"] == {"in_chans": 1}


@pytest.mark.parametrize("spec", ["vit", "resnet18", "resnet20"])
def test_one_channel_for_our_own(tmp_path, spec):
    given = "" if spec == "vit" else "(in_chans=1)"
    if spec == "vit":
        from vitprobe.models.vit import vit

        model = vit(in_chans=1).eval()
    else:
        model = load_model(f"{spec}{given}", seed=4)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    assert same_logits(load_model(f"{spec}@{tmp_path / 'w.pt'}"), model, 1)


def test_oblong_images(tmp_path):
    model, path = made(tmp_path, depth=1, img_size=(64, 128))
    loaded = load_model(f"{NAME}@{path}")
    assert same_logits(loaded, model) and loaded.transform.image_size == (64, 128)
    assert "its 32 patches are read as 4 rows of 8" in loaded.provenance["note"]
    model, path = made(tmp_path, depth=1, img_size=(128, 64))
    loaded = load_model(f"{NAME}(img_size=(128,64))@{path}")
    assert same_logits(loaded, model) and "rows" not in loaded.provenance["note"]
    assert loaded.provenance["image_size"] == "128 x 64"


def test_heads_leave_no_trace_and_are_said_to_be_assumed(tmp_path):
    _, path = made(tmp_path, depth=1, embed_dim=384, num_heads=12)
    note = load_model(f"{NAME}@{path}").provenance["note"]
    assert note.endswith("; 6 heads are assumed: the file does not say") and "num_heads" not in note
    loaded = load_model(f"{NAME}(num_heads=12)@{path}")
    assert loaded.blocks[0].attn.num_heads == 12 and "assumed" not in loaded.provenance["note"]


@pytest.mark.parametrize(("asked", "held"), [("", "_distilled"), ("_distilled", "")])
def test_a_distillation_token_tells_which_deit_it_is(tmp_path, asked, held):
    model, path = made(tmp_path, f"deit_tiny{held}_patch16_224", depth=1)
    loaded = load_model(f"deit_tiny{asked}_patch16_224@{path}")
    assert same_logits(loaded, model)
    right = f"its weights are those of deit_tiny{held}_patch16_224"
    assert right in loaded.provenance["note"]


def test_what_contradicts_the_weights_names_both(tmp_path):
    _, path = made(tmp_path, img_size=32, patch_size=4, depth=1)
    with pytest.raises(InputError, match=r"patch_size 4 \(patch_embed.proj.weight .*patch_size 8"):
        load_model(f"{NAME}(patch_size=8)@{path}")
    with pytest.raises(InputError, match="with 1000 classes .* but 10 were asked for"):
        load_model(f"{NAME}(num_classes=10)@{path}")


def test_positions_of_another_grid_are_timm_s_interpolation(tmp_path):
    model, path = made(tmp_path, img_size=32, patch_size=4, depth=1)
    loaded = load_model(f"{NAME}@{path}", image_size=64)
    model.set_input_size((64, 64))
    assert same_logits(loaded, model) and loaded.pos_embed.shape[1] == 257
    assert "positions interpolated from 32 to 64 px" in loaded.provenance["note"]
    assert "interpolated" not in load_model(f"{NAME}@{path}", image_size=32).provenance["note"]
    with pytest.raises(InputError, match="patches of 4 px, which don't fill 33 x 33 px"):
        load_model(f"{NAME}@{path}", image_size=33)


def test_arguments_reach_every_source(tmp_path, monkeypatch):
    assert len(load_model("vit(depth=2,dim=64)").blocks) == 2
    assert load_model("resnet18(num_classes=7)").fc.out_features == 7
    assert load_model("mini-vit(depth=1,img_size=32)").patch_embed.grid_size == (2, 2)
    model = load_model("torchvision:vit_b_16(image_size=32,patch_size=4,num_layers=1)")
    assert model.encoder.pos_embedding.shape == (1, 65, 768) and len(model.encoder.layers) == 1
    (tmp_path / "arg_nets.py").write_text(
        "from torch import nn\ndef net(width, depth=1):\n    return nn.Linear(width, depth)\n"
    )
    monkeypatch.chdir(tmp_path)
    model = load_model("arg_nets:net(width=4, depth=3)")
    assert model.weight.shape == (3, 4)
    torch.save({"backbone.weight": model.weight, "backbone.bias": model.bias}, "w.pt")
    again = load_model("arg_nets:net(width=4,depth=3)@w.pt")
    assert torch.equal(again.weight, model.weight)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("vit(dept=2)", "no architecture option 'dept'; did you mean 'depth'"),
        ("resnet20(depth=2)", "resnet20 has no architecture options, but depth 2"),
        ("vit_tiny_patch16_224(dept=2)", "cannot build vit_tiny_patch16_224"),
        ("torchvision:resnet18(stem=2)", "cannot build torchvision:resnet18"),
        ("collections:Counter(num_classes=2)", "no argument 'num_classes'|must return"),
        ("vit(image_size=0)", "image_size must be a whole number of at least 1"),
        ("vit(image_size=(32,32,32))", "image_size is one or two numbers of pixels"),
        ("vit(revision='main')", "vit has no revisions"),
        ("vit(img_size=(32,16))", "vit takes square images, not 32 x 16 px"),
    ],
)
def test_wrong_arguments_are_one_line(spec, words):
    with pytest.raises(InputError, match=words) as caught:
        load_model(spec)
    assert "\n" not in str(caught.value)


def test_two_sizes_are_refused_and_no_classes_are_no_classifier():
    with pytest.raises(InputError, match="img_size is 16 in the model spec, but 32 was asked for"):
        load_model("vit(img_size=16)", image_size=32)
    model = load_model("vit(num_classes=0)")
    assert isinstance(model.head, torch.nn.Identity) and model.provenance["num_classes"] == 0


def test_pretrained_weights_of_torchvision_at_another_size(tmp_path, monkeypatch):
    """torchvision refuses another size; here its weights are interpolated as a file's are."""
    weights = torchvision.models.ViT_B_32_Weights.DEFAULT
    with torch.device("meta"):
        shapes = torchvision.models.vit_b_32().state_dict()
    state = {key: torch.rand(value.shape) for key, value in shapes.items()}
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / weights.url.rpartition("/")[2])
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *a, **k: state)
    model = load_model("torchvision:vit_b_32@pretrained", image_size=96)
    assert model.encoder.pos_embedding.shape == (1, 10, 768)
    assert torch.equal(model.conv_proj.weight, state["conv_proj.weight"])
    assert "positions interpolated from 224 to 96 px" in model.provenance["note"]
