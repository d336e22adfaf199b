"""Outlines: shapes without memory or work, and without a trace in the weights that are drawn."""

import pytest
import timm
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from vitprobe.models import load_model
from vitprobe.models.load import _random_stream
from vitprobe.models.names import find_source
from vitprobe.models.outline import outline, outlined
from vitprobe.models.source import Source

NAMES = ("vit", "resnet20", "vit_tiny_patch16_224", "resnet18", "torchvision:vit_b_16")


FILLING = {"add_", "clamp", "clamp_", "erfinv", "erfinv_", "fill_", "mul_", "normal_"}
FILLING |= {"normal", "uniform", "uniform_", "zero_"}


class Computed(TorchDispatchMode):
    """The operators that are called with a tensor on the meta device."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(getattr(value, "is_meta", False) for value in args):
            self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


class Given(Source):
    """A source of what a function builds."""

    def __init__(self, function):
        super().__init__("given")
        self.function = function

    def build(self, num_classes, size):
        return self.function(num_classes)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_those_of_the_model_and_nothing_is_drawn(name):
    source = find_source(name, None)
    with Computed() as computed:
        found = outlined(source)
    assert "detach" in computed.names and not computed.names & FILLING
    model = source.build(2, source.default_size(None))
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert found.shapes == shapes and found.classifier
    assert {key for key in found.classifier if shapes[key][0] == 2} == set(found.classifier)


def test_what_does_not_lie_on_the_meta_device_is_computed():
    def build(classes):
        model = nn.Linear(3, classes)
        steps = torch.zeros(4, device="cpu").fill_(2.0).mul_(3.0).clamp_(max=5.0)
        model.register_buffer("steps", steps)
        model.depth = int(steps.sum())  # such as a drop path's rate
        return model

    model = outline(Given(build), 2, None)
    assert model.weight.is_meta and model.steps.tolist() == [5.0] * 4 and model.depth == 20


def test_a_model_that_reads_its_weights_is_built_with_them():
    def build(classes):
        model = nn.Linear(3, classes)
        nn.init.constant_(model.weight, 0.5)
        model.scale = float(model.weight.detach().sum())  # not on the meta device
        return model

    model = outline(Given(build), 2, None)
    assert not model.weight.is_meta and model.scale == 3.0


@pytest.mark.parametrize("spec", ["vit_tiny_patch16_224(depth=2)", "vit", "resnet20"])
def test_random_weights_are_those_that_the_library_draws(spec):
    """Bit for bit, also after an outline; the numbers that follow are the same too."""
    name, _, arguments = spec.partition("(")
    source = find_source(name, None)
    with _random_stream(3, source.name):
        if arguments:
            plain = timm.create_model(name, depth=2)
        else:
            plain = source.build(10, source.default_size(None))
        following = torch.rand(3)
    with _random_stream(3, source.name):
        outlined(source)
        again = timm.create_model(name, depth=2) if arguments else source.build(10, (32, 32))
        assert torch.equal(torch.rand(3), following)
    model = load_model(spec, seed=3)
    for key, value in plain.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
        assert torch.equal(value, model.state_dict()[key])
        assert value.ndim < 2 or "pos" in key or value.std() > 0
