"""What the survey names, and what it leaves out with which reason."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vitprobe.errors import InputError
from vitprobe.taps import capture, select, survey
from vitprobe.taps.axes import ExampleAxis, difference, foldings, scaled_axis
from vitprobe.taps.outputs import site_name, tensors

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def reason(function, images=IMAGES):
    """Why the output of this function of the images is left out."""
    model = nn.ModuleDict({"f": Lambda(function)})
    model.forward = lambda x: (model.f(x), x)[1]
    return survey(model, images)["f"].reason


def test_names_follow_the_firing_order_and_count_calls():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.late, self.relu, self.early = nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.relu(self.late(self.relu(self.early(x))))

    table = survey(Net(), IMAGES)
    assert [s.name for s in table] == ["early", "relu", "late", "relu#2", "output"]
    assert [s.call for s in table] == [1, 1, 1, 2, 1]
    assert [s.type for s in table] == ["Conv2d", "ReLU", "Conv2d", "ReLU", "Net"]
    assert table["relu#2"].shape == (4, 8, 8) and table["relu#2"].features == 256
    # Each call has its own values.
    seen = {}
    model = Net()
    with capture(model, table.sites, lambda s, x, t: seen.update({s.name: x.clone()})):
        model(IMAGES)
    assert torch.equal(seen["relu"], seen["early"].relu())
    assert torch.equal(seen["relu#2"], seen["late"].relu())


def test_tensors_of_an_output_are_named_by_index_and_key():
    Pair = namedtuple("Pair", "left right")

    @dataclass
    class Record:
        count: int
        state: torch.Tensor

    a, b, c, d = (torch.full((1,), float(i)) for i in range(4))
    output = OrderedDict(
        first=a, states=(b, None, [c, "text"]), pair=Pair(d, 3), record=Record(3, d)
    )
    found = tensors(output)
    assert [site_name("m", 2, keys) for keys, _ in found] == [
        "m#2",
        "m#2[states][0]",
        "m#2[states][2][0]",
        "m#2[pair][0]",
        "m#2[record][state]",
    ]
    assert [t.item() for _, t in found] == [0.0, 1.0, 2.0, 3.0, 3.0]
    assert tensors((None, a, b))[0] == (None, a) and tensors((None, a, b))[1][0] == (2,)
    assert tensors({"k": 3}) == [] and tensors(None) == []


def test_tuple_list_and_dict_outputs_are_read():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(8, 5, batch_first=True)
            self.heads = Lambda(lambda x: {"mean": x.mean(1), "max": [x.amax(1), x.amin(1)]})

        def forward(self, x):
            sequence, (h, _) = self.lstm(x[:, 0])
            return self.heads(sequence), h

    torch.manual_seed(0)
    model = Net()
    table = survey(model, IMAGES)
    axes = {s.name: s.example_axis for s in table}
    assert axes == {
        "lstm": 0,
        "lstm[1][0]": 1,  # (layers, n, hidden)
        "lstm[1][1]": 1,
        "heads": 0,
        "heads[max][0]": 0,
        "heads[max][1]": 0,
        "output": 0,
        "output[0][max][0]": 0,
        "output[0][max][1]": 0,
        "output[1]": 1,
    }
    assert table["output"].twin == "heads" and table["output[1]"].twin == "lstm[1][0]"
    assert table["heads[max][1]"].element == ("max", 1) and table["lstm"].element is None
    seen = {}
    with capture(model, table.sites, lambda s, x, t: seen.update({s.name: x.clone()})):
        (pooled, h) = model(IMAGES)
    assert torch.equal(seen["heads"], pooled["mean"])
    assert torch.equal(seen["heads[max][1]"], pooled["max"][1])
    assert torch.equal(seen["lstm[1][0]"], h.movedim(1, 0))


def test_modules_that_never_fire_follow_with_their_reason():
    model = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, num_classes=3)
    model.unused = nn.ModuleList([nn.Linear(2, 2)])
    table = survey(model, torch.randn(4, 3, 32, 32))
    silent = [site for site in table if site.where is None]
    assert [s.name for s in silent] == ["blocks.0.attn.attn_drop", "unused", "unused.0"]
    assert table.sites[-3:] == tuple(silent)
    assert "without calling it" in silent[0].reason
    assert silent[1].reason == "never fires: a ModuleList has no forward of its own"


def test_shared_module_is_named_by_its_first_path():
    shared = nn.Conv2d(3, 3, 1)
    table = survey(nn.Sequential(OrderedDict(a=shared, b=nn.ReLU(), c=shared)), IMAGES)
    assert [s.name for s in table] == ["a", "b", "a#2", "output"]
    with pytest.raises(InputError, match="'c' is the same module as 'a'"):
        table["c"]


def test_a_child_called_output_does_not_take_the_name_of_the_root():
    table = survey(nn.Sequential(OrderedDict(x=nn.ReLU(), output=nn.Conv2d(3, 2, 1))), IMAGES)
    assert [(s.name, s.module) for s in table] == [
        ("x", "x"),
        (".output", "output"),
        ("output", ""),
    ]


@pytest.mark.parametrize(
    "function, expected",
    [
        (lambda x: x.argmax(1), "int64"),
        (lambda x: x > 0, "bool"),
        (lambda x: torch.complex(x, x), "complex64"),
        (lambda x: x.to_sparse(), "sparse"),
        (lambda x: "text", "no tensor but str"),
        (lambda x: x[:, :0], "empty"),
        (lambda x: torch.ones(5, 5), "does not depend on the number of examples"),
        (lambda x: x.mean(), "does not depend on the number of examples"),
        (lambda x: x.flatten(1) @ x.flatten(1).T, "more than one axis grows"),
        (lambda x: torch.cat([x, torch.ones(2, 3, 8, 8)]), "none is proportional"),
        (lambda x: x.squeeze(1) if len(x) == 3 else x[None], "number of axes changes"),
        (lambda x: x - x.mean(0), "mixes examples"),
        (lambda x: x.softmax(0), "mixes examples"),
        (lambda x: x + 0.01 * x.roll(1, 0), "mixes examples"),
        (lambda x: x + 0.01 * x.roll(-1, 0), "mixes examples"),
        (lambda x: x.flip(0), "mixes examples"),
        (lambda x: x.sort(0).values, "mixes examples"),
        (lambda x: x.cumsum(0), "mixes examples"),
        (lambda x: x * torch.arange(1.0, len(x) + 1)[:, None, None, None], "mixes examples"),
        (lambda x: torch.nn.functional.dropout(x), "depends on chance"),
    ],
)
def test_what_cannot_be_read_has_a_reason(function, expected):
    torch.manual_seed(0)
    assert expected in reason(function)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.mean((1, 2, 3)),  # one number per example
        lambda x: x * 0,
        lambda x: x + float("nan"),
        lambda x: x.log(),  # NaN in places
        lambda x: 1 / x.relu(),  # infinite in places
        lambda x: x + 1e4,
        lambda x: x.double() * 1e-30,
        lambda x: x.bfloat16(),
        lambda x: x.new_ones(len(x), 3),
    ],
)
def test_odd_values_do_not_break_the_survey(function):
    assert reason(function) is None


def test_batch_norm_that_a_forward_puts_in_train_mode_mixes_examples():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.relu = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU()

        def forward(self, x):
            self.norm.train()
            return self.relu(self.norm(self.conv(x)))

    torch.manual_seed(0)
    model = Net()
    table = survey(model, IMAGES)
    assert table["conv"].reason is None
    assert all("mixes examples" in table[name].reason for name in ("norm", "relu", "output"))
    assert [s.name for s in select(table).sites] == ["conv"]
    # The forward's own writes are undone as well.
    assert model.norm.running_mean.abs().max() == 0 and model.norm.num_batches_tracked == 0


def test_a_module_that_fires_only_sometimes_is_left_out():
    model = nn.ModuleDict({"relu": nn.ReLU()})
    model.forward = lambda x: model.relu(x) if len(x) == 3 else x
    assert survey(model, IMAGES)["relu"].reason == "fires in some forwards only"


def sizes_of_forwards(model, images=IMAGES):
    """The survey of a model, and how many images each of its forwards got."""
    sizes = []
    handle = model.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    table = survey(model, images)
    handle.remove()
    return table, sizes


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "mixer_b16_224"])
def test_two_forwards_are_enough_for_what_explains_itself(name):
    size = {} if name == "resnet18" else {"img_size": 32}
    model = timm.create_model(name, **size).eval()
    table, sizes = sizes_of_forwards(model, torch.randn(4, 3, 32, 32))
    assert sizes == [3, 4]
    assert all(site.reason is None or site.reason.startswith("never") for site in table)


def test_what_two_forwards_do_not_explain_costs_a_third():
    """Axis 0 is not that of the examples, but could be: it has three slices."""
    model = nn.Sequential(Lambda(lambda x: x.flatten(2).movedim(0, 2)[:, :3].movedim(1, 0)))
    table, sizes = sizes_of_forwards(model)
    assert sizes == [3, 4, 3]
    assert table["0"].reason is None and table["0"].where == ExampleAxis(2)


def test_what_only_a_first_forward_gives_is_no_fault():
    class Warming(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x + (self.calls == 1)

    table, sizes = sizes_of_forwards(nn.Sequential(Warming()))
    assert sizes == [3, 4, 3]
    assert table["0"].reason is None


def test_a_forward_that_calls_its_own_root_keeps_one_count():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x, deep=True):
            return self.conv(self(x, False) if deep else x)

    assert [s.name for s in survey(Net(), IMAGES)] == ["conv", "output", "conv#2", "output#2"]


def test_four_distinct_images_are_needed():
    model = nn.Conv2d(3, 2, 1)
    with pytest.raises(InputError, match="3 distinct images among 3"):
        survey(model, IMAGES[:3])
    with pytest.raises(InputError, match="1 distinct images among 8"):
        survey(model, torch.zeros(8, 3, 8, 8))
    repeated = IMAGES[[0, 0, 0, 1, 1, 2, 3]]  # four distinct ones are found among them
    assert survey(model, repeated)["output"].shape == (2, 8, 8)


def test_half_precision_rounding_is_not_mixing():
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=3).bfloat16()
    table = survey(model, torch.randn(4, 3, 32, 32).bfloat16())
    assert all(s.reason is None or s.reason.startswith("never") for s in table)


@given(
    before=st.lists(st.integers(1, 3), max_size=2),
    after=st.lists(st.integers(1, 3), max_size=2),
    outer=st.integers(1, 3),
    inner=st.integers(1, 3),
    n=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_view_puts_the_examples_first_whatever_the_folding(before, after, outer, inner, n):
    where = ExampleAxis(len(before), outer, inner)
    whole = torch.arange(float(torch.Size([*before, outer, n, inner, *after]).numel()))
    whole = whole.reshape(*before, outer, n, inner, *after)
    x = whole.reshape(*before, outer * n * inner, *after)
    view = where.view(x)
    assert view.shape == (n, *where.per_example(tuple(x.shape)))
    assert view.data_ptr() == x.data_ptr()
    assert where.count(x.shape, where.per_example(tuple(x.shape))) == n
    for i in range(n):
        assert torch.equal(view[i].flatten(), whole.select(len(before) + 1, i).flatten())
    axis, k = scaled_axis(
        (*before, outer * 3 * inner, *after), 3, (*before, outer * 4 * inner, *after), 4
    )
    assert (axis, k) == (len(before), outer * inner)
    assert where in foldings(axis, k)


def test_difference_is_relative_and_takes_equal_non_finite_values_as_equal():
    nan, inf = float("nan"), float("inf")
    b = torch.tensor([[3.0, 4.0, nan, inf]]).double()
    assert difference(b, b) == 0.0
    one_off = b + torch.tensor([0.0, 1.0, 0.0, 0.0])
    assert difference(one_off, b) == pytest.approx((1 / 4) ** 0.5 / (25 / 2) ** 0.5)
    assert difference(b, torch.tensor([[3.0, 4.0, 5.0, inf]]).double()) == inf
    assert difference(torch.ones(1, 1).double(), torch.zeros(1, 1).double()) == inf
