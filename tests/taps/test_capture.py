"""Capture hands over live activations, and leaves nothing behind, also after an error."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from vitprobe.errors import InputError
from vitprobe.taps import as_found, capture, select, survey

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.norm = nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)
        self.fail = self.skip = False

    def forward(self, x):
        x = self.relu(self.conv(x))
        if self.fail:
            raise RuntimeError("in the forward")
        return x if self.skip else self.relu(self.norm(x))


def state(model):
    """Everything that is to be left as found."""
    hooks = (
        "_forward_hooks",
        "_forward_pre_hooks",
        "_backward_hooks",
        "_forward_hooks_always_called",
    )
    return (
        [module.training for module in model.modules()],
        [parameter.requires_grad for parameter in model.parameters()],
        [len(vars(module)[name]) for module in model.modules() for name in hooks],
        [getattr(module, "fused_attn", None) for module in model.modules()],
        {name: value.clone() for name, value in model.state_dict().items()},
    )


@contextmanager
def unchanged(model) -> Iterator[None]:
    before = state(model)
    yield
    after = state(model)
    assert after[:4] == before[:4]
    assert all(torch.equal(after[4][name], value) for name, value in before[4].items())


@pytest.fixture
def net():
    torch.manual_seed(0)
    model = Net().train()
    model.norm.eval()  # a user's mixture of flags
    model.conv.weight.requires_grad_(False)
    model.conv.register_forward_hook(lambda module, args, output: None)
    return model


def test_values_names_and_order(net):
    calls = []
    sites = select(survey(net, IMAGES), "modules").sites
    with unchanged(net), capture(net, sites, lambda s, x, t: calls.append((s.name, x.clone()))):
        assert not net.training
        for n in (6, 2, 1):  # the number of examples is free
            calls.clear()
            output = net(IMAGES[:n])
            assert [name for name, _ in calls] == ["conv", "relu", "norm", "relu#2", "output"]
            assert torch.equal(calls[-1][1], output) and not output.requires_grad
            assert {len(x) for _, x in calls} == {n}


def test_only_the_asked_sites_are_read(net):
    calls = []
    sites = select(survey(net, IMAGES), ["relu#2"]).sites
    with capture(net, sites, lambda s, x, t: calls.append(s.name)):
        hooked = [name for name, m in net.named_modules() if m._forward_hooks]
        net(IMAGES)
    assert calls == ["relu#2"] and hooked == ["", "conv", "relu"]  # conv: the user's own hook


def test_hooks_are_gone_after_an_exception_in_the_forward(net):
    sites = select(survey(net, IMAGES), "modules").sites
    calls = []
    with unchanged(net), capture(net, sites, lambda s, x, t: calls.append(s.name)):
        net.fail = True
        with pytest.raises(RuntimeError, match="in the forward"):
            net(IMAGES)
        assert calls == ["conv", "relu"]
        net.fail = False
        calls.clear()
        net(IMAGES)  # counting starts afresh
        assert calls == ["conv", "relu", "norm", "relu#2", "output"]
    net.fail = True
    with unchanged(net), pytest.raises(RuntimeError), capture(net, sites, lambda *_: None):
        net(IMAGES)
    with unchanged(net), pytest.raises(RuntimeError):
        survey(net, IMAGES)


def test_hooks_are_gone_after_an_exception_in_the_callback(net):
    sites = select(survey(net, IMAGES), "modules").sites
    calls = []

    def callback(site, x, twin):
        calls.append(site.name)
        if site.name == "norm":
            raise KeyError("in the callback")

    expected = pytest.raises(KeyError, match="in the callback")
    with unchanged(net), expected, capture(net, sites, callback):
        net(IMAGES)
    net(IMAGES)
    assert calls == ["conv", "relu", "norm"]


def test_another_image_size_is_refused(net):
    sites = select(survey(net, IMAGES), "modules").sites
    expected = pytest.raises(InputError, match=r"'conv' gave the shape \(2, 4, 9, 9\)")
    with capture(net, sites, lambda *_: None), expected as raised:
        net(torch.randn(2, 3, 9, 9))
    assert "(4, 8, 8) per example" in str(raised.value) and "\n" not in str(raised.value)


def test_sites_that_disagree_about_the_number_of_examples_are_refused():
    """Twice the windows per image: each site alone would pass for a forward of twice the images."""

    class Windows(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(4, 4)

        def forward(self, x):
            x = self.first(x[..., :4, :4])
            return self.fc(x.repeat_interleave(self.k, 0).flatten(2)[..., :4])

    model = Windows()
    model.k = 2
    sites = select(survey(model, IMAGES), "modules").sites
    model.k = 4
    with capture(model, sites, lambda *_: None), pytest.raises(InputError, match="of 6 examples"):
        model(IMAGES)


def test_a_site_that_does_not_fire_gets_no_call(net):
    sites = select(survey(net, IMAGES), "modules").sites
    net.skip = True
    called = []
    with capture(net, sites, lambda site, *_: called.append(site.name)):
        net(IMAGES)
    assert "norm" in [site.name for site in sites]
    assert "norm" not in called
    assert called[-1] == "output"


def test_sites_that_cannot_be_read_are_refused_before_any_forward(net):
    table = survey(net, IMAGES)
    for tokens, message in [
        ("cls", "'conv' cannot be read: no tokens='cls'"),
        ("x", "unknown tokens"),
    ]:
        expected = pytest.raises(InputError, match=message)
        with expected, capture(net, [table["conv"]], lambda *_: None, tokens):
            pass


def test_a_module_called_outside_the_forward_is_not_read(net):
    calls = []
    with capture(net, survey(net, IMAGES).sites, lambda s, x, t: calls.append(s.name)):
        net.conv(IMAGES)
    assert calls == []


def test_autocast(net):
    table = survey(net, IMAGES)
    kinds = {}
    reading = capture(net, table.sites, lambda s, x, t: kinds.update({s.name: x.dtype}))
    with reading, torch.autocast("cpu", dtype=torch.bfloat16):
        net(IMAGES)
    assert kinds["conv"] == torch.bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert [s.reason for s in survey(net, IMAGES)] == [None] * 5


def test_two_captures_of_one_model_do_not_disturb_each_other(net):
    sites = select(survey(net, IMAGES), "modules").sites
    outer, inner = [], []
    with unchanged(net), capture(net, sites, lambda s, x, t: outer.append((s.name, t))):
        with capture(net, sites[:2], lambda s, x, t: inner.append(s.name)):
            net(IMAGES)
        net(IMAGES)
    assert len(outer) == 10 and inner == ["conv", "relu"] and outer[:5] == outer[5:]


def test_survey_leaves_the_model_as_found(net):
    with unchanged(net):
        survey(net, IMAGES)


def test_as_found_restores_everything_also_on_error(net):
    net.attn = nn.Module()
    net.attn.fused_attn = False
    with unchanged(net), pytest.raises(ZeroDivisionError), as_found(net):
        assert not any(module.training for module in net.modules())
        net.attn.fused_attn = True
        net.norm.train()(torch.randn(2, 4, 3, 3))
        net.requires_grad_(True)
        net.relu.register_forward_hook(lambda *_: None)
        net.conv.register_forward_pre_hook(lambda *_: None, with_kwargs=True)
        net.register_full_backward_hook(lambda *_: None)
        raise ZeroDivisionError
    assert len(net.conv._forward_hooks) == 1  # the user's own
    assert not net.conv._forward_pre_hooks_with_kwargs


def test_as_found_restores_sparse_buffers(net):
    net.register_buffer("mask", torch.eye(3).to_sparse())
    with as_found(net):
        net.mask.mul_(2)
    assert torch.equal(net.mask.to_dense(), torch.eye(3))
    survey(net, IMAGES)


def test_as_found_keeps_a_train_that_freezes_parts():
    class Frozen(Net):
        def train(self, mode=True):
            super().train(mode)
            self.norm.eval()
            return self

    model = Frozen().train()
    model.norm.train()
    with unchanged(model), as_found(model):
        assert not model.training


class Around(nn.Module):
    """A model in which another is one part."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.head = inner, nn.Flatten()

    def forward(self, x):
        return self.head(self.inner(x))


def names_that_fire(model):
    return {site.name for site in survey(model, IMAGES) if site.reason is None}


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_torchscript_program_is_refused_or_closed(net):
    program = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))
    with pytest.raises(InputError, match="TorchScript program .*: give the module"):
        survey(program, IMAGES)
    found = survey(Around(program), IMAGES)
    assert {site.name for site in found if site.reason is None} == {"head", "output"}
    assert "TorchScript" in found["inner"].reason and "TorchScript" in found["inner.0"].reason


@pytest.mark.parametrize("how", ["module", "part", "in_place"])
def test_compiled_code_that_ran_before_shows_its_layers(net, how):
    """Code compiled without hooks would pass them by: only the output would be seen."""
    net.eval()
    expected = names_that_fire(net)
    if how == "in_place":
        model, path = net, ""
        net.compile(backend="eager")
    else:
        model, path = torch.compile(net, backend="eager"), ""
        if how == "part":
            model, path = Around(model), "inner._orig_mod."
    with torch.no_grad():
        model(IMAGES)
    assert {path + name for name in expected - {"output"}} <= names_that_fire(model)
    values = {}
    with capture(model, [survey(model, IMAGES)[f"{path}conv"]], lambda s, x, t: values.update(x=x)):
        model(IMAGES)
    assert torch.equal(values["x"], net.conv(IMAGES))
