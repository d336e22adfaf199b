"""Gradients to the image: right, one by one and together, and the model as it was."""

import copy

import pytest
import timm
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import vitprobe
from vitprobe.models.residual import residual_sums
from vitprobe.taps import as_found, select, survey
from vitprobe.taps.centres import grid_of
from vitprobe.taps.image_gradients import Target, forward, gradients, saved_bytes


def targets_of(model, images, layers="blocks"):
    found = []
    for site in select(survey(model, images), layers).sites:
        grid = grid_of(model, site, tuple(images.shape[2:]))
        if not isinstance(grid, str):
            found.append(Target(site.name, "block", grid, site=site))
    return found


def values_of(model, images, targets, copies=False):
    values = {}

    def take(target, x):
        place = (target.grid.rows // 2, target.grid.columns // 2)
        values[target.name] = target.grid.at(x, place).sum()

    with as_found(model):
        leaf = forward(model, images, targets, take, copies)
    return values, leaf


class Own(torch.autograd.Function):
    """Its backward pass cannot be vectorised: it asks for a number."""

    @staticmethod
    def forward(context, x):
        return x * 2

    @staticmethod
    def backward(context, gradient):
        return gradient * (2 if float(gradient.sum()) < 1e9 else 0)


class OwnModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return self.b(Own.apply(self.a(x)))


MODELS = {
    "resnet20": (lambda: vitprobe.load_model("resnet20"), 32, "blocks"),
    "vit": (lambda: vitprobe.load_model("vit"), 32, "blocks"),
    "swin": (
        lambda: timm.models.swin_transformer.SwinTransformer(
            img_size=32, patch_size=4, window_size=4, embed_dim=12, depths=(2, 1), num_heads=(1, 2)
        ),
        32,
        "blocks",
    ),
    "own function": (OwnModel, 12, ["a", "b"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_several_at_once_are_those_one_by_one(name):
    make, size, layers = MODELS[name]
    torch.manual_seed(0)
    model, images = make(), torch.rand(4, 3, size, size)
    values, leaf = values_of(model, images, targets_of(model, images, layers))
    values = list(values.values())
    assert len(values) > 1
    one = list(gradients(values, leaf))
    for at_once in (2, 100):
        for a, b in zip(one, gradients(values, leaf, at_once), strict=True):
            assert a.shape == images.shape and a.abs().max() > 0
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(a.abs().max()))


class InPlace(nn.Module):
    """Writes to its images, to a site's output and to a branch."""

    def __init__(self, ways=""):
        super().__init__()
        self.conv, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.register_buffer("calls", torch.zeros(()))
        self.ways = ways

    def part(self, x):
        return self.second(self.conv(x).relu_())

    def forward(self, x):
        self.calls += 1
        x -= 0.5
        if self.ways:
            x = checkpoint(self.part, x, use_reentrant=self.ways == "reentrant")
        else:
            x = self.part(x)
        x *= 2
        return x


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # in the survey
@pytest.mark.parametrize("ways", ["", "reentrant", "other"])
def test_what_is_overwritten_or_computed_again(ways):
    torch.manual_seed(0)
    model, images = InPlace(ways).train(), torch.rand(4, 3, 8, 8)
    model.conv.weight.requires_grad_(False)
    state, before = copy.deepcopy(model.state_dict()), images.clone()
    targets = targets_of(model, images, ["conv", "second", "output"])
    values, leaf = values_of(model, images, targets)
    assert list(values) == ["conv", "second", "output"]
    found = dict(zip(values, gradients(list(values.values()), leaf), strict=True))
    x = images.clone().requires_grad_()
    conv = model.conv(x - 0.5)
    second = model.second(conv.relu())
    for name, y in (("conv", conv), ("second", second), ("output", second * 2)):
        (expected,) = torch.autograd.grad(y[..., 4, 4].sum(), x, retain_graph=True)
        torch.testing.assert_close(found[name], expected)
    assert torch.equal(images, before)
    assert model.training and not model.conv.weight.requires_grad
    assert model.conv.bias.requires_grad and model.second.weight.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(x, state[key]) for key, x in model.state_dict().items())
    assert not model.conv._forward_hooks and not model._forward_hooks


def test_the_forward_ends_with_the_last_target():
    model, images = vitprobe.load_model("resnet20"), torch.rand(4, 3, 32, 32)
    targets = targets_of(model, images, ["layer1.1"])
    handle = model.layer3.register_forward_hook(lambda *_: pytest.fail("it goes on"))
    values_of(model, images, targets)
    handle.remove()


@pytest.mark.parametrize("copies", [False, True])
def test_branches_of_a_residual_sum_that_writes_over_one(copies):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.f, self.wants_copies = nn.Conv2d(3, 3, 3, padding=1), copies

        def forward(self, x):
            y = self.f(x)
            y = y.relu() if self.wants_copies else y  # whose backward pass needs what it gave
            y += x
            return y

    model, images = Block(), torch.rand(4, 3, 8, 8)
    (found,) = residual_sums(model, images)
    (site,) = select(survey(model, images), "f").sites
    grid = grid_of(model, site, (8, 8))
    x = images.clone().requires_grad_()
    branch = model.f(x).relu() if copies else model.f(x)
    for is_branch, y in ((True, branch), (False, branch + x)):
        target = Target("f", "block", grid, sum=found, branch=is_branch)
        values, leaf = values_of(model, images, [target], copies)
        (expected,) = torch.autograd.grad(y[..., 4, 4].sum(), x, retain_graph=True)
        torch.testing.assert_close(next(gradients([values["f"]], leaf)), expected)


def test_bytes_that_a_graph_keeps():
    conv = nn.Conv2d(3, 4, 3)
    for parameter in conv.parameters():
        parameter.requires_grad_(False)
    x = torch.rand(2, 3, 10, 10, requires_grad=True)
    with saved_bytes() as saved:
        conv(x).relu().square()
    of_image = 3 * 10 * 10 + 4 * 8 * 8  # the convolution's input; the ReLU's output, once
    assert saved() == 2 * of_image * 4
