"""The very tensor, version included: an overwritten or freed one is never taken for another."""

import torch
import torchvision
from torch import nn

from vitprobe.taps import capture, select, survey
from vitprobe.taps.identity import SeenTensors


def read(model, sites, images):
    found, twins = {}, {}

    def keep(site, x, twin):
        found[site.name] = x.clone()
        twins[site.name] = twin.name if twin else None

    with capture(model, sites, keep):
        model(images)
    return found, twins


class Chain(nn.Module):
    """A forward given as a function of the module."""

    def __init__(self, forward, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def twins_of(model, images):
    table = survey(model, images)
    expected = {site.name: site.twin for site in table if site.where}
    values, found = read(model, select(table, "modules").sites, images)
    assert found == expected  # the forward says the same as the survey
    for name, twin in found.items():
        assert twin is None or torch.equal(values[name], values[twin])
    return found


IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_resnet_in_place_relu_is_not_its_norm():
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None)
    images = torch.randn(4, 3, 32, 32)
    table = survey(model, images)
    names = [site.name for site in select(table, "all").sites]
    assert {"bn1", "relu", "layer1.0.bn2", "layer1.0.relu#2"} <= set(names)
    assert table["layer1.0"].twin == "layer1.0.relu#2"  # the block hands on its last ReLU
    values, _ = read(model, select(table, "modules").sites, images)
    assert torch.equal(values["relu"], values["bn1"].relu())
    assert values["bn1"].min() < -0.1 and values["relu"].min() == 0
    block = values["layer1.0.bn2"] + values["maxpool"]  # `out += identity`, then ReLU in place
    torch.testing.assert_close(values["layer1.0"], block.relu())
    assert not torch.allclose(values["layer1.0.bn2"], values["layer1.0"])


def test_norm_then_in_place_relu_returns_the_same_object():
    returned = []

    def forward(m, x):
        x = m.norm(x)
        y = m.relu(x)
        returned.append(y is x)
        return m.last(y)

    model = Chain(
        forward, norm=nn.GroupNorm(1, 3), relu=nn.ReLU(inplace=True), last=nn.Conv2d(3, 2, 1)
    )
    assert twins_of(model, IMAGES) == {"norm": None, "relu": None, "last": None, "output": "last"}
    assert all(returned)


def test_modules_that_hand_on_a_tensor_are_its_twins():
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.Identity(), nn.Dropout(0.5)),
        nn.Flatten(),
        nn.Identity(),
    )
    assert twins_of(model, IMAGES) == {
        "0.0": None,
        "0.1": "0.0",
        "0.2": "0.0",
        "0": "0.0",
        "1": None,  # the same numbers in another shape
        "2": "1",
        "output": "1",
    }


def test_views_of_one_storage_are_other_activations():
    def forward(m, x):
        x = m.conv(x)
        a, b = m.a(x[:, :2]), m.b(x[:, 2:])  # same storage, shape and strides, another offset
        t = m.t(x.transpose(2, 3))  # same storage, offset and shape, other strides
        return a + b + m.again(x[:, :2]) + t[:, :2]

    model = Chain(
        forward,
        conv=nn.Conv2d(3, 4, 1),
        a=nn.Identity(),
        b=nn.Identity(),
        t=nn.Identity(),
        again=nn.Identity(),
    )
    twins = twins_of(model, IMAGES)
    assert twins == {"conv": None, "a": None, "b": None, "t": None, "again": "a", "output": None}


def test_a_write_through_a_view_is_seen():
    def forward(m, x):
        x = m.conv(x)
        first = m.first(x)
        x[:, 0] += 1.0
        return m.second(x) + first

    model = Chain(forward, conv=nn.Conv2d(3, 4, 1), first=nn.Identity(), second=nn.Identity())
    twins = twins_of(model, IMAGES)
    assert twins == {"conv": None, "first": "conv", "second": None, "output": None}


def test_a_write_that_raises_no_version_is_seen_in_the_values():
    def forward(m, x):
        x = m.conv(x)
        x.data.mul_(2.0)
        return m.second(x)

    model = Chain(forward, conv=nn.Conv2d(3, 4, 1), second=nn.Identity())
    assert twins_of(model, IMAGES) == {"conv": None, "second": None, "output": None}


def test_a_reused_address_is_no_twin():
    """Each step frees its input, and the allocator gives the same memory to a later step."""
    addresses = []

    class Step(nn.Module):
        def forward(self, x):
            y = x * 1.5
            addresses.append(y.data_ptr())
            return y

    model = nn.Sequential(*[Step() for _ in range(12)], nn.Flatten())
    twins = twins_of(model, IMAGES)
    assert len(set(addresses[:12])) < 12  # the trap is set
    assert {name: twin for name, twin in twins.items() if twin} == {"output": "12"}


def test_storage_offset_shape_strides_type_and_version_all_count():
    seen = SeenTensors()
    x = torch.zeros(4, 4)
    assert seen.first_owner(x, "x") is None
    assert seen.first_owner(x.view(4, 4), "same") == "x" and seen.first_owner(x, "x") is None
    others = [x[1:], x[:3], x.T, x.view(2, 8), x.view(torch.int32), x.clone(), x.data[:2], x[2:]]
    assert [seen.first_owner(other, i) for i, other in enumerate(others)] == [None] * 8
    x.view(16)[3:5].add_(1.0)
    assert seen.first_owner(x, "written") is None and seen.first_owner(x.detach(), "") == "written"


def test_a_storage_object_is_not_reused_while_it_is_remembered():
    seen = SeenTensors()
    for i in range(200):
        assert seen.first_owner(torch.zeros(3, 1 + i % 2), f"site {i}") is None


def test_remembered_tensors_hold_no_memory():
    seen = SeenTensors()
    tensor = torch.zeros(1000)
    storage = torch.multiprocessing.reductions.StorageWeakRef(tensor.untyped_storage())
    seen.first_owner(tensor, "site")
    assert not storage.expired()
    del tensor
    assert storage.expired()


def test_the_run_decides_not_the_survey():
    """Twins in the survey, but not in this forward."""

    def forward(m, x):
        x = m.conv(x)
        return m.second(x.clone() if m.copy else x)

    model = Chain(forward, conv=nn.Conv2d(3, 4, 1), second=nn.Identity())
    model.copy = False
    sites = select(survey(model, IMAGES), "modules").sites
    assert read(model, sites, IMAGES)[1]["second"] == "conv"
    model.copy = True
    assert read(model, sites, IMAGES)[1] == {"conv": None, "second": None, "output": "second"}


def test_the_first_selected_site_is_the_twin():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Identity(), nn.Identity())
    table = survey(model, IMAGES)
    sites = select(table, ["1", "2", "output"]).sites
    assert read(model, sites, IMAGES)[1] == {"1": None, "2": "1", "output": "1"}


def test_inference_mode_has_no_versions_and_claims_no_twins():
    model = nn.Sequential(nn.GroupNorm(1, 3), nn.ReLU(inplace=True), nn.Identity())
    with torch.inference_mode():
        images = IMAGES * 1.0
        assert images.is_inference()
        table = survey(model, images)
        values, twins = read(model, select(table, "modules").sites, images)
    assert {s.name: s.twin for s in table} == {"0": None, "1": None, "2": "1", "output": "1"}
    assert set(twins.values()) == {None}
    assert torch.equal(values["1"], values["0"].relu()) and values["0"].min() < 0
    with capture(model, table.sites, lambda *_: None), torch.inference_mode():
        model(IMAGES)
