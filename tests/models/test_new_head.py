"""A classifier drawn anew before other weights: checkpoints, pretrained weights, the user's."""

import sys

import pytest
import torch
import torchvision

from vitprobe.errors import InputError
from vitprobe.models import build_model, load_model

HEADS = {
    "vit": ["head.weight", "head.bias"],
    "vit-zhu2023": ["mlp_head.1.weight", "mlp_head.1.bias"],
    "vit-small-data": ["mlp_head.1.weight", "mlp_head.1.bias"],
    "resnet18": ["fc.weight", "fc.bias"],
    "resnet20": ["linear.weight", "linear.bias"],
    "test_vit": ["head.weight", "head.bias"],
    "torchvision:squeezenet1_1": ["classifier.1.weight", "classifier.1.bias"],
}


def changed(first, second):
    """Names of the weights that differ in shape or value."""
    a, b = first.state_dict(), second.state_dict()
    assert a.keys() == b.keys()
    return [key for key in a if a[key].shape != b[key].shape or not torch.equal(a[key], b[key])]


@pytest.mark.parametrize("name", HEADS)
def test_all_other_weights_of_a_checkpoint_are_kept(tmp_path, name):
    first = load_model(name, num_classes=7, seed=3)
    torch.save({"model_state_dict": first.state_dict()}, tmp_path / "w.pt")
    spec = f"{name}@{tmp_path / 'w.pt'}"
    second = build_model(spec, num_classes=4, new_head=True)
    assert changed(first, second) == HEADS[name]
    assert second.provenance["num_classes"] == 4
    assert "but a new classifier (seed 0)" in second.provenance["note"]
    side = second.transform.image_size[0]
    assert second(torch.randn(1, 3, side, side)).shape == (1, 4)
    with pytest.raises(InputError, match="with 7 classes"):
        build_model(spec, num_classes=4)


def test_a_new_head_is_new_for_as_many_classes_too(tmp_path):
    first = load_model("resnet20", seed=3)
    torch.save(first.state_dict(), tmp_path / "w.pt")
    spec = f"resnet20@{tmp_path / 'w.pt'}"
    for classes in (None, 10):
        second = build_model(spec, num_classes=classes, new_head=True)
        assert "linear.weight" in changed(first, second) and second.linear.out_features == 10
    again = build_model(spec, new_head=True)
    assert torch.equal(again.linear.weight, second.linear.weight)
    other = build_model(spec, new_head=True, seed=1)
    assert not torch.equal(again.linear.weight, other.linear.weight)
    assert changed(first, build_model(spec)) == []


def test_a_checkpoint_without_a_classifier_can_have_one(tmp_path):
    first = load_model("vit", num_classes=7, seed=3)
    state = {k: v for k, v in first.state_dict().items() if not k.startswith("head.")}
    torch.save(state, tmp_path / "w.pt")
    spec = f"vit@{tmp_path / 'w.pt'}"
    second = build_model(spec, num_classes=7, new_head=True)
    assert changed(first, second) == ["head.weight"]  # timm's biases begin at zero
    third = build_model(spec, num_classes=7)
    assert isinstance(third.head, torch.nn.Identity) and third.provenance["num_classes"] == 0


def test_other_misfits_are_errors_all_the_same(tmp_path):
    state = load_model("resnet20").state_dict()
    del state["conv1.weight"]
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"1 are missing \(conv1.weight\)"):
        build_model(f"resnet20@{tmp_path / 'w.pt'}", new_head=True)


def test_timm_s_pretrained_weights(timm_resnet18):
    expected = timm_resnet18
    model = build_model("resnet18@pretrained", num_classes=10, new_head=True)
    assert changed(expected, model) == HEADS["resnet18"]
    assert model.provenance["num_classes"] == model.num_classes == 10
    assert model.fc.weight.shape == (10, 512) and model.conv1.kernel_size == (7, 7)
    assert model.provenance["note"].endswith(
        "(timm resnet18.a1_in1k), but a new classifier (seed 0)"
    )


@pytest.mark.filterwarnings("ignore:The default weight initialization")
def test_torchvision_s_pretrained_weights_and_what_they_do_to_an_image(tmp_path, monkeypatch):
    """googlenet's preset shifts its input and has no second heads, which a fresh model has."""
    weights = torchvision.models.GoogLeNet_Weights.DEFAULT
    expected = torchvision.models.googlenet(init_weights=False)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(expected.state_dict(), folder / weights.url.rpartition("/")[2])
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    model = build_model("torchvision:googlenet@pretrained", num_classes=10, new_head=True)
    assert model.transform_input and model.aux1 is None and model.fc.out_features == 10
    held = expected.state_dict()
    others = [key for key in model.state_dict() if not key.startswith("fc.")]
    assert all(torch.equal(model.state_dict()[key], held[key]) for key in others)


def test_a_user_s_model(tmp_path, monkeypatch):
    (tmp_path / "some_nets.py").write_text(
        "from torch import nn\n"
        "def fixed():\n    return nn.Linear(4, 3)\n"
        "def net(num_classes):\n"
        "    return nn.Sequential(nn.Linear(4, 3), nn.Linear(3, num_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    try:
        first = load_model("some_nets:net", num_classes=5, seed=1)
        torch.save(first.state_dict(), "w.pt")
        second = build_model("some_nets:net@w.pt", num_classes=2, new_head=True)
        assert changed(first, second) == ["1.weight", "1.bias"]
        torch.save(load_model("some_nets:fixed").state_dict(), "w.pt")
        with pytest.raises(
            InputError, match="some_nets:fixed has no classifier whose size follows"
        ):
            build_model("some_nets:fixed@w.pt", num_classes=2, new_head=True)
    finally:
        sys.modules.pop("some_nets", None)


def test_random_weights_are_new_already():
    a, b = build_model("resnet20", new_head=True), build_model("resnet20")
    assert changed(a, b) == [] and a.provenance == b.provenance
