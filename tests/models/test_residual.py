"""Residual sums are found by what a model does, and may be looked at or replaced where they are
made."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from vitprobe.models import residual_graph
from vitprobe.models.residual import residual_calls, residual_sums


def images(size: int = 8) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


class Function(nn.Module):
    """A function with two convolutions, as a model."""

    def __init__(self, function):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.position = nn.Parameter(torch.randn(1, 3, 1, 1))
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def branch(m, x):
    return m.second(F.relu(m.first(x)))


def in_place(m, x):
    out = branch(m, x)
    out += x
    return out


def written_over_the_skip(m, x):
    x = x * 1
    x.add_(branch(m, x))
    return x


def adapter(m, x):
    return F.conv2d(x, m.first.weight) + m.second(m.first(x))[..., 1:-1, 1:-1]


def parts_of_a_tensor(m, x):
    first, second = x.repeat(1, 2, 1, 1).split(3, 1)
    return first + branch(m, second)


SKIPS = {  # function: the operand that is the skip, of each residual sum
    "skip first": (lambda m, x: x + branch(m, x), [0]),
    "skip second": (lambda m, x: branch(m, x) + x, [1]),
    "torch.add": (lambda m, x: torch.add(branch(m, x), x), [1]),
    "in place": (in_place, [1]),
    "over the skip": (written_over_the_skip, [0]),
    "by name": (lambda m, x: torch.add(x, other=branch(m, x)), [0]),
    "scaled branch": (lambda m, x: x + 0.1 * branch(m, x), [0]),
    "scaled skip": (lambda m, x: 0.5 * x + branch(m, x), [0]),
    "skip in other strides": (lambda m, x: x.mT.contiguous().mT + branch(m, x), [0]),
    "with positions": (lambda m, x: (x + m.position) + branch(m, x + m.position), [0]),
    "projected": (lambda m, x: m.first(x) + branch(m, m.second(F.relu(x))), [0]),
    "twice": (lambda m, x: (y := x + m.first(x)) + m.second(y), [0, 0]),
    "with a factor": (lambda m, x: torch.add(x, branch(m, x), alpha=0.5), []),
    "difference": (lambda m, x: x - branch(m, x), []),
    "gelu": (lambda m, x: x + 0.044715 * x**3, []),
    "without weights": (lambda m, x: x + F.layer_norm(x, x.shape[1:]), []),
    "gate": (lambda m, x: (g := m.first(x).sigmoid()) * x + (1 - g) * m.second(x), []),
    "in parallel": (lambda m, x: m.first(x) + m.second(x), []),
    "low rank adapter": (adapter, []),
    "parts of a tensor": (parts_of_a_tensor, []),
    "itself": (lambda m, x: x + x, []),
    "constant": (lambda m, x: branch(m, x) + torch.ones_like(x), []),
    "broadcast": (lambda m, x: x + branch(m, x).mean((2, 3), keepdim=True), []),
    "number": (lambda m, x: 1 + branch(m, x), []),
    "no gradient": (lambda m, x: x + branch(m, x).detach(), []),
}  # fmt: skip


@pytest.mark.parametrize("case", SKIPS)
def test_which_operand_is_the_skip(case):
    function, expected = SKIPS[case]
    assert [each.skip for each in residual_sums(Function(function), images())] == expected


class Downsampling(nn.Module):
    """A branch of two convolutions beside one."""

    def __init__(self, activation: nn.Module, shortcut_activation: nn.Module | None = None):
        super().__init__()
        self.long = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), activation, nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        )
        self.short = nn.Sequential(nn.Conv2d(3, 4, 1, 2), shortcut_activation or nn.BatchNorm2d(4))

    def forward(self, x):
        return self.long(x) + self.short(x)


def test_a_projection_is_a_skip_of_a_branch_with_an_activation():
    assert [each.skip for each in residual_sums(Downsampling(nn.GELU()), images())] == [1]
    assert residual_sums(Downsampling(nn.Identity()), images()) == []  # two linear maps
    assert residual_sums(Downsampling(nn.GELU(), nn.GELU()), images()) == []  # two branches


def test_the_operands_are_what_the_model_adds():
    model, seen = torchvision.models.resnet18().eval(), {}  # out += identity
    block = model.layer2[0]
    block.register_forward_pre_hook(lambda m, args: seen.update(x=args[0].clone()))
    block.bn2.register_forward_hook(lambda m, args, out: seen.update(f=out.clone()))

    def keep(each, call):
        if each.name == "layer2.0":
            seen["parts"] = [part.clone() for part in each.parts(call)]
        return call.add()

    x = images(64)
    sums = residual_sums(model, x)
    with torch.no_grad():
        plain = model(x)
        with residual_calls(model, sums, keep):
            assert torch.equal(model(x), plain)
        torch.testing.assert_close(seen["parts"], [block.downsample(seen["x"]), seen["f"]])


@pytest.mark.parametrize("case", ["skip first", "skip second", "in place", "over the skip"])
def test_without_the_skip(case):
    model, x = Function(SKIPS[case][0]), images()
    with residual_calls(model, residual_sums(model, x), lambda each, call: each.without_skip(call)):
        torch.testing.assert_close(model(x), branch(model, x))
    torch.testing.assert_close(model(x), branch(model, x) + x)


@pytest.mark.parametrize("case", ["skip first", "in place"])
def test_without_the_skip_gradients_take_the_long_way(case):
    model, x = Function(SKIPS[case][0]), images().requires_grad_()
    with residual_calls(model, residual_sums(model, x), lambda each, call: each.without_skip(call)):
        (found,) = torch.autograd.grad(model(x).sum(), x)
    torch.testing.assert_close(found, torch.autograd.grad(branch(model, x).sum(), x)[0])


def test_a_block_called_twice_and_a_forward_that_fails():
    block = nn.Sequential(Function(lambda m, x: x + branch(m, x)))
    model = nn.Sequential(block, nn.ReLU(), block)
    sums = residual_sums(model, images())
    assert [(each.name, each.key.call) for each in sums] == [("0.0", 1), ("0.0#2", 2)]
    names = []

    def fail(each, call):
        names.append(each.name)
        if len(names) == 1:
            raise RuntimeError("stop")
        return call.add()

    with residual_calls(model, sums, fail):
        with pytest.raises(RuntimeError, match="stop"):
            model(images())
        model(images())
    assert names == ["0.0", "0.0", "0.0#2"]
    assert not any(module._forward_hooks for module in model.modules())


def test_the_model_is_left_as_found():
    model = torchvision.models.resnet18().train()
    model.fc.weight.requires_grad_(False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in model.parameters()]
    x = images(32)
    kept = x.clone()
    residual_sums(model, x)
    assert model.training and flags == [p.requires_grad for p in model.parameters()]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(x, kept) and not x.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_in_a_wrapper_under_no_grad_and_in_inference_mode():
    model = nn.DataParallel(Function(lambda m, x: x + branch(m, x)))
    with torch.no_grad():
        assert len(residual_sums(model, images())) == 1
    with torch.inference_mode():
        assert len(residual_sums(model, images())) == 1


def test_a_compiled_model_runs_as_it_was_written():
    model = torch.compile(Function(lambda m, x: x + branch(m, x)))
    assert len(residual_sums(model, images())) == 1


def test_what_is_computed_meanwhile_is_no_sum_of_the_model():
    model, x = Function(lambda m, x: (y := x + m.first(x)) + m.second(y)), images()
    names = []

    def add_more(each, call):
        z, f = each.parts(call)
        names.append(each.key.place)
        return z + f + 0 * z

    with residual_calls(model, residual_sums(model, x), add_more):
        model(x)
    assert names == [0, 1]


def test_two_hundred_blocks_take_no_longer_each(monkeypatch):
    """Each sum's graph is walked no further back than the sum before it."""
    looked = []
    inputs = residual_graph._inputs
    monkeypatch.setattr(residual_graph, "_inputs", lambda node: looked.append(1) or inputs(node))

    def walked(blocks: int) -> int:
        model = nn.Sequential(
            *(Function(lambda m, x: F.relu(x + branch(m, x))) for _ in range(blocks))
        )
        looked.clear()
        assert len(residual_sums(model, images())) == blocks
        return len(looked)

    assert walked(200) <= 10 * walked(20) + 20
