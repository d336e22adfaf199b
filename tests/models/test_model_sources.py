"""timm's, torchvision's and the user's models; names that nothing knows; pretrained weights."""

import logging
import sys
import urllib.error

import pytest
import timm
import torch
import torchvision

from vitprobe.errors import InputError
from vitprobe.models import build_model, known_names, load_model
from vitprobe.models.names import find_source

USER = """
import torch
from torch import nn

def net(num_classes=3, image_size=20):
    model = nn.Linear(3 * image_size**2, num_classes)
    model.asked = (num_classes, image_size)
    return model

def sized(img_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * img_size**2, 2))

class Plain(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.module = nn.Linear(2, width)

class Picky(nn.Module):
    def __init__(self):
        super().__init__()
        self.transform = nn.Identity()

def broken():
    raise RuntimeError("first line\\nsecond line")

def number():
    return 3

def lazy():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(2))

class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.empty = nn.Parameter(torch.zeros(0))
        self.one = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("sparse", torch.eye(3).to_sparse())
        self.register_buffer("short", torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.qint8))

    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        pass

constant = 5
"""


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(USER)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield "my_nets"
    assert sys.path == path
    sys.modules.pop("my_nets", None)


def test_a_timm_model_has_its_configuration_s_transform():
    model = load_model("test_resnet", num_classes=12)
    assert model.provenance["num_classes"] == 12
    assert model(torch.randn(1, 3, 160, 160)).shape == (1, 12)
    assert model.transform.image_size == (160, 160)
    assert model.transform.mean == (0.5, 0.5, 0.5)
    assert (model.transform.crop_pct, model.transform.interpolation) == (0.95, "bilinear")
    assert find_source("mini-vit").transform(None).mean == (0.485, 0.456, 0.406)


def test_timm_models_of_a_fixed_size_are_built_at_the_size_asked_for():
    assert load_model("test_vit", image_size=64).patch_embed.grid_size == (4, 4)
    with pytest.raises(InputError, match="test_vit cuts the image into patches of 16 px"):
        load_model("test_vit", image_size=40)
    model = load_model("test_resnet", image_size=40)  # works at any size
    assert model.provenance["image_size"] == 40


@pytest.mark.parametrize(
    ("alias", "model"),
    [
        ("mini-vit", "deit_tiny_patch16_224"),
        ("base-vit", "vit_base_patch16_224"),
        ("vit-l32", "vit_large_patch32_224"),
    ],
)
def test_short_names_of_timm_s_models(alias, model):
    source = find_source(alias)
    assert source.name == alias and source.model == model
    with torch.device("meta"):
        own, theirs = source.build(10, None), timm.create_model(model, num_classes=10)
    assert {k: v.shape for k, v in own.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }


def test_hybrids_of_timm_s_are_found_by_name():
    """A ResNet's stages before a transformer; the stem is `patch_embed.backbone`."""
    with torch.device("meta"):
        model = find_source("vit_tiny_r_s16_p8_224").build(10, (96, 96))
    assert model.patch_embed.grid_size == (3, 3) and model.head.out_features == 10
    assert isinstance(find_source("vit_base_r50_s16_224"), type(find_source("mini-vit")))


def test_a_torchvision_model_has_its_weights_transform():
    model = load_model("torchvision:squeezenet1_1")
    assert model.provenance["num_classes"] == 1000 and model.transform.image_size == (224, 224)
    assert model.transform.std == (0.229, 0.224, 0.225)
    assert (model.transform.crop_pct, model.transform.interpolation) == (0.875, "bilinear")
    assert find_source("torchvision:inception_v3").default_size(None) == (299, 299)


def test_torchvision_s_vit_is_built_at_the_size_asked_for():
    source = find_source("torchvision:vit_b_16")
    with torch.device("meta"):
        model = source.build(10, (96, 96))
    assert model.encoder.pos_embedding.shape == (1, 37, 768)


def test_a_user_s_callable_gets_what_its_signature_takes(user_module):
    assert load_model(f"{user_module}:net").asked == (3, 20)
    model = load_model(f"{user_module}:net", num_classes=7, image_size=8)
    assert model.asked == (7, 8) and model.transform.image_size == (8, 8)
    assert build_model(f"{user_module}:net", fallback_image_size=32).asked == (3, 20)
    assert build_model(f"{user_module}:sized", fallback_image_size=6)[1].in_features == 108
    plain = load_model(f"{user_module}:Plain", num_classes=9, image_size=8)
    assert plain.module.out_features == 4 and plain.transform.image_size == (8, 8)
    assert plain.provenance["num_classes"] == 0
    assert load_model(f"{user_module}:Plain").transform.image_size is None


def test_a_user_s_checkpoint(user_module, tmp_path):
    first = load_model(f"{user_module}:net", num_classes=7, seed=2)
    torch.save({"state_dict": first.state_dict()}, tmp_path / "w.pth")
    second = load_model(f"{user_module}:net@w.pth")
    assert second.asked == (7, 20) and torch.equal(first.weight, second.weight)
    assert second.provenance["spec"] == f"{user_module}:net@w.pth"


def test_a_user_s_model_may_have_a_child_called_module(user_module, tmp_path):
    first = load_model(f"{user_module}:Plain", seed=2)
    for prefix in ("", "module."):
        state = {prefix + key: value for key, value in first.state_dict().items()}
        torch.save(state, tmp_path / "w.pth")
        second = load_model(f"{user_module}:Plain@w.pth")
        assert torch.equal(first.module.weight, second.module.weight)


@pytest.mark.filterwarnings("ignore:.*quantize")
def test_a_user_s_model_may_hold_more_than_dense_tensors(user_module):
    said = load_model(f"{user_module}:Odd").provenance
    assert said["parameters"] == 1 and len(said["weights_sha256"]) == 64


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("my_nets:nte", "no callable 'nte'; did you mean 'net'"),
        ("my_nets:constant", "no callable 'constant'$"),  # is there, but is no callable
        ("my_nets:number", "gave a int: it must return a torch.nn.Module"),
        ("my_nets:broken", "cannot build my_nets:broken: RuntimeError: first line$"),
        ("my_nets:lazy", "lazy layers"),
        ("my_nets:Picky", "attribute 'transform' of its own"),
        ("my_nots:net", "no module 'my_nots'"),
        ("my_nets.deep:net", "no module 'my_nets.deep'|importing my_nets.deep failed"),
        ("my_nets:", "is no package.module:callable"),
        (":net", "is no package.module:callable"),
        ("my_nets:net@pretrained", "no pretrained weights for my_nets:net"),
    ],
)
def test_what_can_be_wrong_with_a_user_s_model(user_module, spec, words):
    with pytest.raises(InputError, match=words) as caught:
        load_model(spec)
    assert "\n" not in str(caught.value)


def test_a_user_s_module_that_does_not_import(user_module, tmp_path):
    (tmp_path / "bad_nets.py").write_text("import no_such_library\n")
    with pytest.raises(InputError, match="importing bad_nets failed: .*no_such_library"):
        load_model("bad_nets:net")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("vti", "'vit'"),
        ("ResNet18", "'resnet18'"),
        ("resnet-20", "'resnet20'"),
        ("minivit", "'mini-vit'"),
        ("vit-zhu", "'vit-zhu2023'"),
        ("lambda-resnet50", "'lambda_resnet50'"),
        ("vit_tiny_patch16_244", "'vit_tiny_patch16_224'"),
        ("torchvision:resnet_18", "'resnet18'"),
        ("vit_tiny_patch16_224.augreg_in21", "'vit_tiny_patch16_224.augreg_in21k'"),
    ],
)
def test_near_names(name, near):
    with pytest.raises(InputError, match="did you mean") as caught:
        load_model(name)
    assert near in str(caught.value) and "\n" not in str(caught.value)


def test_far_names_and_files(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="unknown model 'qqqqqqqq': use one of vit, vit-zhu2023, "):
        load_model("qqqqqqqq")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.pth").write_bytes(b"")
    with pytest.raises(InputError, match="'best.pth' is a file.*vit@best.pth"):
        load_model("best.pth")
    with pytest.raises(InputError, match="timm has renamed 'xception'"):
        load_model("xception")


def test_known_names_are_distinct():
    names = known_names()
    assert len(names) == len(set(names)) and names[0] == "vit"
    assert {"mini-vit", "resnet56", "vit_tiny_patch16_224", "torchvision:vit_b_16"} <= set(names)


def offline(*_, **__):
    raise urllib.error.URLError("Name or service not known")


@pytest.mark.parametrize("name", ["mini-vit", "resnet18", "test_vit", "torchvision:resnet18"])
def test_without_a_network_pretrained_weights_are_one_clear_line(monkeypatch, name):
    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(
        InputError, match=f"pretrained weights of {name} .*{name}@random or {name}@FILE"
    ) as caught:
        load_model(f"{name}@pretrained")
    assert "\n" not in str(caught.value)


def test_the_hub_s_retries_are_not_told(monkeypatch):
    """Its client warns of every retry, a dozen lines; its logger is afterwards as it was."""
    client = logging.getLogger("huggingface_hub.utils._http")
    told = []

    def retrying(*args, **kwargs):
        told.append(client.isEnabledFor(logging.WARNING))
        offline()

    monkeypatch.setattr(timm, "create_model", retrying)
    before = logging.getLogger("huggingface_hub").level
    with pytest.raises(InputError, match="pretrained weights"):
        load_model("resnet18@pretrained")
    assert told == [False] and logging.getLogger("huggingface_hub").level == before


def test_names_without_pretrained_weights():
    timms = (name for name in timm.list_models() if not timm.is_model_pretrained(name))
    for name in ("vit", "resnet20", next(timms)):
        with pytest.raises(InputError, match=f"no pretrained weights for {name}: use {name}@FILE"):
            load_model(f"{name}@pretrained")


def test_torchvision_s_pretrained_weights_keep_their_classifier(tmp_path, monkeypatch):
    """torch.hub takes a file that is there already: here one of the same name, made by us."""
    weights = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    expected = torchvision.models.squeezenet1_1()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(expected.state_dict(), folder / weights.url.rpartition("/")[2])
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    model = load_model("torchvision:squeezenet1_1@pretrained", num_classes=10)
    assert torch.equal(model.classifier[1].weight, expected.classifier[1].weight)
    assert model.provenance["num_classes"] == 1000
    assert "pretrained weights (torchvision SqueezeNet1_1_Weights" in model.provenance["note"]
    assert "with their own classifier" in model.provenance["note"]


def test_timm_s_pretrained_weights_keep_their_classifier(timm_resnet18):
    """timm reads them itself, here from a file that its configuration is made to name."""
    expected = timm_resnet18
    model = load_model("resnet18@pretrained", num_classes=10)
    assert model.conv1.kernel_size == (7, 7) and torch.equal(model.fc.weight, expected.fc.weight)
    assert model.provenance["num_classes"] == 1000 and model.provenance["image_size"] == 224
    assert model.transform.crop_pct == 0.95
    assert "pretrained weights (timm resnet18.a1_in1k)" in model.provenance["note"]
