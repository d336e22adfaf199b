"""Weights are found wherever a trainer put them: by fit, with what was left out counted."""

import copy

import pytest
import timm
import torch
from torch import nn

from vitprobe.errors import InputError
from vitprobe.models import build_model, load_model, read_checkpoint
from vitprobe.models.weight_sets import Wanted, find_weights, plain_name, weight_sets

NAME = "vit_tiny_patch16_224"


@pytest.fixture(scope="module")
def net():
    """A small ViT of timm's, with weights that are not its first ones."""
    torch.manual_seed(1)
    return timm.create_model(NAME, depth=2, img_size=32, num_classes=5).eval()


@pytest.fixture(scope="module")
def encoder(net):
    """The same without its classifier."""
    bare = copy.deepcopy(net)
    bare.head = nn.Identity()
    return bare


def under(prefix, state, scale=1.0):
    return {prefix + key: value * scale for key, value in state.items()}


def loaded(folder, held, key="", name=NAME):
    torch.save(held, folder / "w.ckpt")
    return load_model(f"{name}@{folder / 'w.ckpt'}{key}")


def same_logits(a, b, size=32, channels=3):
    x = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.equal(a(x), b.eval()(x))


def test_dino_and_ibot_give_the_teacher_s_backbone(tmp_path, encoder):
    """Both under `module.backbone.`, with a projection head, optimizer and arguments beside."""
    head = {"module.head.mlp.0.weight": torch.ones(4, 4), "module.head.last.weight": torch.ones(4)}
    teacher = under("module.backbone.", encoder.state_dict())
    student = under("module.backbone.", encoder.state_dict(), 2.0)
    held = {
        "student": student | head,
        "teacher": teacher | head,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
        "epoch": 7,
    }
    model = loaded(tmp_path, held)
    assert same_logits(model, encoder) and isinstance(model.head, nn.Identity)
    said = model.provenance
    assert (said["weights_key"], said["weights_prefix"]) == ("teacher.backbone", "backbone.")
    assert said["left_out"] == ["head.* (2)"] and said["num_classes"] == 0
    for words in (
        "from its teacher.backbone",
        "the file has no classifier: the identity stands for it",
        "left out 2 of its weights: head.* (2)",
        "w.ckpt#student.backbone would fit as well",
    ):
        assert words in said["note"]
    other = loaded(tmp_path, held, "#student")
    assert torch.equal(other.norm.weight, encoder.norm.weight * 2)
    assert "would fit" not in other.provenance["note"]


def test_lightning_s_backbone_in_a_module(tmp_path, encoder, net):
    """`state_dict` of the whole LightningModule, hyper-parameters and callbacks beside it."""
    beside = {"epoch": 1, "pytorch-lightning_version": "2.6.0", "hyper_parameters": {"lr": 0.1}}
    state = under("backbone.", encoder.state_dict()) | {"classifier.weight": torch.ones(10, 192)}
    model = loaded(tmp_path, {"state_dict": state, **beside})
    assert same_logits(model, encoder)
    assert model.provenance["left_out"] == ["classifier.weight"]
    model = loaded(tmp_path, {"state_dict": under("model.", net.state_dict()), **beside})
    assert same_logits(model, net) and model.provenance["weights_prefix"] == "model."


@pytest.mark.parametrize(
    ("query", "momentum"),
    [
        ("module.encoder_q.", "module.encoder_k."),  # MoCo
        ("module.base_encoder.", "module.momentum_encoder."),  # MoCo v3
        ("backbone.", "momentum_backbone."),  # solo-learn
    ],
)
def test_contrastive_trainers_give_the_encoder_that_learnt(tmp_path, net, query, momentum):
    state = net.state_dict()
    both = under(momentum, state, 2.0) | under(query, state) | {"queue": torch.ones(3)}
    model = loaded(tmp_path, {"state_dict": both})
    assert same_logits(model, net)
    assert model.provenance["weights_prefix"] == plain_name(query + "x")[:-1]
    other = loaded(tmp_path, {"state_dict": both}, f"#{momentum.rstrip('.').split('.')[-1]}")
    assert torch.equal(other.norm.weight, net.norm.weight * 2)


def test_mae_s_encoder_without_decoder_and_head(tmp_path, encoder):
    decoder = {
        "mask_token": torch.ones(1, 1, 192),
        "decoder_pos_embed": torch.ones(1, 5, 8),
        **{f"decoder_blocks.{i}.norm1.weight": torch.ones(8) for i in range(3)},
    }
    model = loaded(tmp_path, {"model": encoder.state_dict() | decoder})
    assert same_logits(model, encoder)
    assert model.provenance["left_out"] == [
        "mask_token",
        "decoder_pos_embed",
        "decoder_blocks.* (3)",
    ]
    assert "left out 5 of its weights" in model.provenance["note"]


@pytest.mark.parametrize(
    ("raw", "averaged"),
    [
        ("state_dict", "state_dict_ema"),  # timm's trainer
        ("model", "model_ema"),  # DeiT, ConvNeXt
        ("model", "ema"),
        ("raw_state_dict", "model_state_dict"),  # our own
    ],
)
def test_averaged_weights_come_before_raw_ones(tmp_path, net, raw, averaged):
    state = net.state_dict()
    held = {raw: under("", state, 2.0), averaged: under("module.", state), "epoch": 3}
    model = loaded(tmp_path, held)
    assert same_logits(model, net) and model.provenance["weights_key"] == averaged
    assert f"w.ckpt#{raw} would fit as well" in model.provenance["note"]
    model = loaded(tmp_path, held, f"#{raw}")
    assert torch.equal(model.norm.weight, net.norm.weight * 2)
    assert model.provenance["spec"].endswith(f"w.ckpt#{raw}")


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."]
)
def test_wrappers_before_names(tmp_path, net, prefix):
    model = loaded(tmp_path, under(prefix, net.state_dict()))
    assert same_logits(model, net) and model.provenance["left_out"] == []


def test_wrappers_within_names(tmp_path, net):
    state = {k.replace("blocks.1.", "blocks.1._orig_mod."): v for k, v in net.state_dict().items()}
    assert same_logits(loaded(tmp_path, state), net)
    averaged = torch.optim.swa_utils.AveragedModel(net).state_dict()
    model = loaded(tmp_path, {"swa": averaged})
    assert same_logits(model, net) and model.provenance["left_out"] == ["n_averaged"]


@pytest.mark.parametrize("nest", [lambda s: {"a": {"b": {"c": s}}}, lambda s: [3, (s, "x")]])
def test_any_nesting(tmp_path, net, nest):
    assert same_logits(loaded(tmp_path, nest(net.state_dict())), net)


def test_of_two_networks_in_a_file_the_one_that_fits(tmp_path, net):
    """A distilled student beside a teacher of other widths: shapes decide where names agree."""
    wide = timm.create_model("vit_small_patch16_224", depth=2, img_size=32, num_classes=5)
    held = {"student": net.state_dict(), "teacher": wide.state_dict()}
    assert same_logits(loaded(tmp_path, held), net)
    assert same_logits(loaded(tmp_path, held, name="vit_small_patch16_224"), wide)


def test_a_key_that_is_not_there_names_those_that_are(tmp_path, net):
    held = {"model": net.state_dict(), "ema": net.state_dict()}
    with pytest.raises(InputError, match="no weights under 'emma'; did you mean 'ema'"):
        loaded(tmp_path, held, "#emma")
    with pytest.raises(
        InputError, match="no weights under 'xyz': there are (model, ema|ema, model)"
    ):
        loaded(tmp_path, held, "#xyz")
    with pytest.raises(InputError, match="no weights under 'ema': its weights have no key"):
        loaded(tmp_path, net.state_dict(), "#ema")


@pytest.mark.parametrize("key", ["norm.weight", "blocks.0.attn.qkv.weight", "pos_embed"])
def test_less_than_all_but_the_classifier_is_an_error(tmp_path, net, key):
    state = {k: v for k, v in net.state_dict().items() if k != key}
    with pytest.raises(InputError, match=rf"1 are missing \({key}\) and 0 of .* unexpected"):
        loaded(tmp_path, state)


@pytest.mark.parametrize(
    "key", ["blocks.0.norm3.weight", "class_tokens", "head.2.weight", "norm_x.a"]
)
def test_what_belongs_to_the_trunk_is_never_left_out(tmp_path, net, key):
    with pytest.raises(InputError, match=rf"0 are missing and 1 of .* unexpected \({key}\)"):
        loaded(tmp_path, net.state_dict() | {key: torch.ones(2)})


def test_both_sides_first_keys_are_listed(tmp_path, net):
    state = under("tower.", net.state_dict())
    state = {key.replace("blocks", "stages"): value for key, value in state.items()}
    with pytest.raises(
        InputError, match=r"missing \(blocks.0.norm1.weight, .* unexpected \(stages"
    ):
        loaded(tmp_path, state)


def test_half_a_classifier_is_none_and_is_left_out_by_name(tmp_path, net, encoder):
    state = {k: v for k, v in net.state_dict().items() if k != "head.bias"}
    model = loaded(tmp_path, state)
    assert same_logits(model, encoder) and model.provenance["left_out"] == ["head.weight"]


def test_index_tables_that_a_model_computes_may_be_there_or_not(tmp_path):
    """Swin's of earlier releases were saved; those of today are not."""
    net = timm.create_model(
        "swin_tiny_patch4_window7_224", depths=(1, 1, 1, 1), num_classes=3
    ).eval()
    name = "swin_tiny_patch4_window7_224(depths=(1,1,1,1))"
    tables = {k: v for k, v in net.named_buffers() if "relative_position_index" in k}
    assert tables and not tables.keys() & net.state_dict().keys()
    torch.save(net.state_dict() | tables, tmp_path / "w.pt")
    model = load_model(f"{name}@{tmp_path / 'w.pt'}")
    assert same_logits(model, net, size=224) and model.provenance["left_out"] == []


@pytest.mark.parametrize("spec", ["vit", "vit-zhu2023", "vit-small-data", "resnet18", "resnet20"])
def test_our_own_models_without_a_classifier(tmp_path, spec):
    whole = load_model(spec, seed=3)
    last = list(whole.state_dict())[-1].rpartition(".")[0]  # the classifier is the last layer
    state = {k: v for k, v in whole.state_dict().items() if not k.startswith(last)}
    torch.save({"teacher": under("module.backbone.", state)}, tmp_path / "w.pt")
    model = load_model(f"{spec}@{tmp_path / 'w.pt'}")
    whole.set_submodule(last, nn.Identity())
    assert same_logits(model, whole) and model.provenance["num_classes"] == 0


def test_what_stands_beside_the_weights_is_kept(tmp_path):
    held = {"run": {"net": {"w": torch.ones(2)}, "epoch": 4}, "epoch": 1, "mean": [0.5]}
    torch.save(held, tmp_path / "w.pt")
    read = read_checkpoint(tmp_path / "w.pt")
    assert read.key == "run.net" and (read.metadata["epoch"], read.metadata["mean"]) == (4, [0.5])


def test_a_thousand_small_dictionaries_are_no_burden():
    """An optimizer has one for each weight: the work grows with their number, not its square."""
    weights = {f"layers.{i}.weight": torch.ones(1) for i in range(2000)}
    state = {i: {"exp_avg": torch.ones(1), "step": torch.ones(())} for i in range(2000)}
    sets = weight_sets({"optimizer": {"state": state}, "model": weights})
    assert len(sets) == 2001
    shapes = {key: value.shape for key, value in weights.items()}
    assert find_weights(sets, None, Wanted(shapes)).key == "model"


def test_an_explicit_new_head_is_still_drawn(tmp_path, encoder):
    torch.save({"teacher": encoder.state_dict()}, tmp_path / "w.pt")
    model = build_model(f"{NAME}@{tmp_path / 'w.pt'}", num_classes=4, new_head=True)
    assert model.head.weight.shape == (4, 192)
    assert torch.equal(model.norm.weight, encoder.norm.weight)
