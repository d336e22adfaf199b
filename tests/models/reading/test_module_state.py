"""The weights of a pickled module, without its class."""

import pickle

import pytest
import timm
import torch
import torchvision
from torch import nn

from vitprobe.errors import InputError
from vitprobe.models.reading.placeholder import Placeholder, module_state
from vitprobe.models.reading.torch_file import read_torch_file


class Odd(nn.Module):
    """Everything that a state dict has or leaves out."""

    def __init__(self):
        super().__init__()
        self.later = nn.Linear(2, 3, bias=False)
        self.register_parameter("absent", None)
        self.scale = nn.Parameter(torch.randn(2))
        self.register_buffer("kept", torch.randn(3))
        self.register_buffer("left", torch.randn(3), persistent=False)
        self.register_buffer("unset", None)
        self.norm = nn.BatchNorm2d(2, affine=False)
        self.again = self.later  # the same module under two names
        self.tied = nn.Linear(2, 3, bias=False)
        self.tied.weight = self.later.weight
        self.missing = None
        self.register_module("none", None)
        self.parts = nn.ModuleDict({"b": nn.ParameterList([torch.ones(2)]), "a": nn.ModuleList()})
        self.attention = nn.MultiheadAttention(4, 2)
        self.helper = {"weights": torch.ones(1)}


def same(state, expected):
    return list(state) == list(expected) and all(
        torch.equal(state[key], expected[key]) for key in expected
    )


@pytest.mark.parametrize("kind", ["zip", "old", "pickle"])
def test_the_state_dict_of_a_whole_module(tmp_path, kind):
    model, path = Odd(), tmp_path / "w.pth"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(model))
    else:
        torch.save(model, path, _use_new_zipfile_serialization=kind == "zip")
    held = read_torch_file(path)
    assert held.name == f"{__name__}.Odd"
    state = module_state(held)
    assert same(state, model.state_dict())
    assert state["again.weight"] is state["later.weight"] is state["tied.weight"]


@pytest.mark.parametrize(
    "build",
    [
        lambda: timm.create_model("vit_tiny_patch16_224", depth=2),
        lambda: timm.create_model("resnet18"),
        lambda: torchvision.models.resnet18(),
        lambda: torchvision.models.swin_t(),
        lambda: nn.DataParallel(torchvision.models.resnet18()),
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 2),
    ],
    ids=["timm vit", "timm resnet", "resnet", "swin", "DataParallel", "transformer"],
)
def test_whole_models(tmp_path, build):
    model = build()
    torch.save({"model": model, "epoch": 3}, tmp_path / "w.pth")
    held = read_torch_file(tmp_path / "w.pth")
    assert held["epoch"] == 3 and same(module_state(held["model"]), model.state_dict())


def test_graph_modules(tmp_path):
    model = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))
    torch.save(model, tmp_path / "w.pth")
    assert same(module_state(read_torch_file(tmp_path / "w.pth")), model.state_dict())


def test_what_is_no_module():
    tensor = torch.ones(1)
    for held in (
        *(None, 3, {}, {"_parameters": {}, "_buffers": {}, "_modules": {}}, tensor),
        *(Placeholder("a.B"), Placeholder("a.B", args=(1,), state={"_parameters": {}})),
        Placeholder("a.B", state={"_parameters": None, "_buffers": {}, "_modules": {}}),
    ):
        assert module_state(held) is None


def module(modules, **parameters):
    state = {"_parameters": parameters, "_buffers": {}, "_modules": modules}
    return Placeholder("a.B", state=state)


def test_odd_entries_are_left_out():
    held = module({"a": 3, 4: module({}, w=torch.ones(1))}, w=torch.ones(2), x=Placeholder("q"))
    held.state["_buffers"] = {("k",): torch.ones(1), "b": torch.ones(3)}
    held.state["_non_persistent_buffers_set"] = "b"
    assert list(module_state(held)) == ["w", "b"]


def test_modules_that_hold_each_other_without_end():
    ring = module({}, w=torch.ones(1))
    ring.state["_modules"]["next"] = ring
    doubled = module({}, w=torch.ones(1))
    for _ in range(60):  # 2 ** 60 names
        doubled = module({"a": doubled, "b": doubled})
    for held in (ring, doubled):
        with pytest.raises(InputError, match="hold each other without end"):
            module_state(held)


def test_modules_of_any_depth_need_no_recursion():
    deep = module({}, w=torch.ones(1))
    for _ in range(5000):
        deep = module({"a": deep})
    assert list(module_state(deep)) == ["a." * 5000 + "w"]
