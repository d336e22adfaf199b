"""What the survey of a model is made on where the first batches are all alike, and what follows."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import vitprobe
from vitprobe.data.model_input import ModelInput, distinct, joined
from vitprobe.errors import InputError, VitprobeWarning
from vitprobe.passes.batches import Shown, leading

BATCH = 8


def images(*kinds):
    """Batches of eight: "=" all alike, "2" two kinds of image, "?" all different."""
    draw = torch.Generator().manual_seed(0)
    batches = []
    for kind in kinds:
        x = torch.randn(BATCH, 3, 16, 16, generator=draw)
        batches.append(x[[0] * BATCH] if kind == "=" else x[[0, 1] * 4] if kind == "2" else x)
    return torch.cat(batches)


@pytest.mark.parametrize("kinds", ["=???", "==??", "2??", "===2?", "2=?="])
def test_equal_first_batches_are_looked_past_and_count(kinds):
    """The result is that of the same batches in another order: none is lost, none counts twice."""
    x = images(*kinds)
    flipped = torch.cat(list(x.split(BATCH))[::-1])
    layers, results = ["conv1", "layer1.0", "output"], []
    for data in (x, DataLoader([(image, 0) for image in x], batch_size=BATCH), flipped):
        results.append(vitprobe.cka("resnet20", data=data, layers=layers, batch_size=BATCH))
    for result in results:
        assert result.attrs["batches"] == len(kinds) and result.attrs["examples"] == len(x)
        assert abs(result["cka"] - results[2]["cka"]).max() < 1e-6
        assert abs(result["cka_se"] - results[2]["cka_se"]).max() < 1e-6


def test_usual_batches_are_handed_on_as_they_are():
    given = [Shown(k, [x], BATCH) for k, x in enumerate(images(*"?=?").split(BATCH))]
    few, found = leading(iter(given), 4)
    assert few[0] is given[0].views[0]
    assert all(ours is theirs for ours, theirs in zip(found, given, strict=True))


def test_batches_that_were_held_come_again_bit_for_bit():
    x = images(*"=22=?=")
    masks = torch.arange(len(x)) % 2
    given = [
        Shown(k, [part, ModelInput((part, 3), {"mask": mask})], len(part), mask)
        for k, (part, mask) in enumerate(zip(x.split(BATCH), masks.split(BATCH), strict=True))
    ]
    given.insert(1, Shown(len(given), [], 0))  # all its images were skipped
    few, found = leading(iter(given), 4)
    assert len(distinct([few[0]], 4)[0]) == 4 and len(few[0]) == len(few[1])
    for ours, theirs in zip(found, given, strict=True):
        assert (ours.number, ours.n, ours.labels is None) == (
            theirs.number,
            theirs.n,
            theirs.labels is None,
        )
        if not theirs.n:
            continue
        assert torch.equal(ours.labels, theirs.labels)
        (image, inputs), (its_image, its_inputs) = ours.views, theirs.views
        assert torch.equal(image, its_image)
        assert torch.equal(inputs.kwargs["mask"], its_inputs.kwargs["mask"])
        assert inputs.args[1] == 3 and torch.equal(inputs.args[0], its_inputs.args[0])


def test_small_batches_and_streams_lend_their_images():
    x = images("?")
    few, found = leading((Shown(k, [x], 1) for k, x in enumerate(x.split(1))), 4)
    assert torch.equal(few[0], x[:4]) and len(list(found)) == BATCH
    stream = ((image, 0) for image in images(*"=??"))
    assert vitprobe.cka("resnet20", data=stream, layers="output", batch_size=BATCH).examples == 24


def test_too_few_distinct_images_say_how_many():
    with pytest.raises(InputError, match="2 distinct images among 24: the survey of a model needs"):
        vitprobe.cka("resnet20", data=images("2")[[0, 1] * 12], batch_size=BATCH)
    with pytest.raises(InputError, match="0 distinct images among 0"):
        leading(iter([]), 4)


def test_head_subsets_look_past_equal_batches():
    from vitprobe.models import build_model

    vit = build_model("vit", num_classes=4, architecture={"dim": 32, "heads": 2, "depth": 2})
    x = torch.nn.functional.interpolate(images(*"=???"), 32)
    result = vitprobe.head_subsets(vit, "resnet20", x, batch_size=BATCH)
    assert result.attrs["examples"] == 32 and result.attrs["batches"] == 4


def test_joined_inputs():
    a = ModelInput((torch.zeros(2, 1), "word"), {"keep": torch.ones(2), "scale": torch.tensor(3.0)})
    b = a.map(lambda x: x + 1)
    both = joined(a, b)
    assert both.args[0].flatten().tolist() == [0, 0, 1, 1] and both.args[1] == "word"
    assert both.kwargs["keep"].tolist() == [1, 1, 2, 2] and both.kwargs["scale"] == 3


class Counting(nn.Module):
    """Multiplies by, or repeats its channels for, the number of calls beyond `calls`."""

    def __init__(self, calls, repeats=False):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.scaled, self.head = nn.Identity(), nn.Linear(8, 4)
        self.calls, self.repeats, self.count = calls, repeats, 0
        self.scaled.register_forward_hook(self._change)

    def _change(self, module, args, output):
        self.count += 1
        times = max(1, self.count - self.calls)
        return torch.cat([output] * times, 1) if self.repeats else output * times

    def forward(self, x):
        return self.head(self.scaled(self.conv(x)).mean((2, 3))[:, :8])


def varied(model, batches=10, size=16):
    x = torch.randn(batches * size, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return vitprobe.cka(model, data=x, batch_size=size)


@pytest.mark.parametrize("repeats", [False, True])
def test_a_layer_that_changes_from_call_to_call_is_left_out(repeats):
    torch.manual_seed(0)
    with pytest.warns(VitprobeWarning, match="^(?!.*rests on)"):  # of few batches only
        result = varied(Counting(0, repeats), batches=7)
    reasons = dict(
        zip(result["left_out_a"].values, result["left_out_reason_a"].values, strict=True)
    )
    assert "conv" in result["layer_a"].values
    words = "its shape changes from run to run" if repeats else "it depends on chance, or on the"
    assert words in reasons["scaled"]


def test_a_scale_that_changes_later_is_noted():
    torch.manual_seed(0)
    with pytest.warns(VitprobeWarning, match="the scale of scaled, head changes so much") as said:
        result = varied(Counting(8))
    assert "rests on" in result.attrs["notes"] and "of 10 batches" in result.attrs["notes"]
    assert "conv" not in str(said[0].message)
    assert "rests on" not in varied(Counting(1000)).attrs["notes"]


def test_a_shape_that_changes_later_is_one_line_that_says_so():
    with pytest.raises(InputError, match="if its shape changes from call to call"):
        varied(Counting(8, repeats=True))
