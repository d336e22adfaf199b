"""Receptive fields in passes: batches, models of every kind, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

import vitprobe
from vitprobe.errors import InputError

NUMBERS = ("map", "centre", "centre_se", "r50", "r50_se", "r90", "r90_se", "area", "box")


def test_batches_do_not_matter():
    torch.manual_seed(0)
    model, images = vitprobe.load_model("resnet20"), torch.rand(12, 3, 32, 32)
    one, three = (vitprobe.receptive_field(model, images, batch_size=n) for n in (12, 4))
    for name in NUMBERS:
        # a gradient that is rounding itself changes sides of 1 % of the peak
        np.testing.assert_allclose(one[name], three[name], rtol=1e-3, atol=1e-7, err_msg=name)


def test_a_batch_too_large_for_the_graph_is_divided(monkeypatch):
    from vitprobe.analyses import receptive_field_reader

    model, images = vitprobe.load_model("resnet20"), torch.rand(8, 3, 32, 32)
    whole = vitprobe.receptive_field(model, images, layers="layer1.0")
    seen = []
    handle = model.conv1.register_forward_hook(lambda _, args, __: seen.append(len(args[0])))
    monkeypatch.setattr(receptive_field_reader, "GRAPH_BYTES", 10**6)
    parts = vitprobe.receptive_field(model, images, layers="layer1.0")
    handle.remove()
    assert seen[-4:] == [2, 2, 2, 2]
    np.testing.assert_allclose(whole["map"], parts["map"], rtol=1e-4, atol=1e-9)


def test_the_model_is_as_it_was_and_writes_over_what_it_needs():
    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            y = self.conv(x).relu()
            y += x
            return y

    model = Writes().train()
    model.conv.bias.requires_grad_(False)
    images = torch.rand(4, 3, 9, 9)
    result = vitprobe.receptive_field(model, images, layers="output")
    x = images.clone().requires_grad_()
    value = (model.conv(x).relu() + x)[..., 4, 4].mean(1).sum()
    expected = torch.autograd.grad(value, x)[0].abs().mean(1).sum(0)
    np.testing.assert_allclose(result["map"].values[0], expected / expected.sum(), atol=1e-7)
    assert model.training and model.conv.weight.requires_grad
    assert not model.conv.bias.requires_grad and model.conv.weight.grad is None


class Unseen(nn.Module):
    def __init__(self, gradients):
        super().__init__()
        self.conv, self.gradients = nn.Conv2d(3, 4, 3), gradients

    def forward(self, x):
        with torch.set_grad_enabled(self.gradients and torch.is_grad_enabled()):
            return self.conv(x).mean((2, 3))


def test_what_cannot_be_done_is_one_line():
    images = torch.rand(4, 3, 8, 8)
    for error, options in (
        ("convention is raghu or replknet or openerf, not 'ragu'; did you mean 'raghu'",
         {"convention": "ragu"}),
        ("residual is post or pre, not 'before'", {"residual": "before"}),
        ("has no residual sums", {"residual": "pre"}),
        ("output: no position in the image", {"layers": "output"}),
        ("no layer matches 'block'", {"layers": "block"}),
    ):  # fmt: skip
        with pytest.raises(InputError, match=error):
            vitprobe.receptive_field(Unseen(True), images, **options)
    with pytest.raises(InputError, match="conv: no gradient leads from it to the image"):
        vitprobe.receptive_field(Unseen(False), images, layers="conv")
    result = vitprobe.receptive_field(Unseen(True), images, layers="all")
    assert result["layer"].values.tolist() == ["conv"]
    assert "pooled" in result["left_out_reason"].values[0]


class NoWay(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x * 1

    @staticmethod
    def backward(context, gradient):
        raise NotImplementedError("for inference only")


def test_a_model_without_a_backward_pass():
    class Model(nn.Conv2d):
        def forward(self, x):
            return NoWay.apply(super().forward(x))

    line = r"Model has no backward pass to the image \(NotImplementedError: for inference only\)"
    with pytest.raises(InputError, match=line):
        vitprobe.receptive_field(Model(3, 4, 3), torch.rand(4, 3, 8, 8), layers="output")


def test_named_data_are_the_first_32():
    result = vitprobe.receptive_field("resnet20", layers="layer1.0")
    assert result.attrs["examples"] == 32
    few = vitprobe.receptive_field("resnet20", layers="layer1.0", examples=40)
    assert few.attrs["examples"] == 40


def test_beside_attention_in_one_pass():
    readers = [vitprobe.ReceptiveFieldReader(), vitprobe.AttentionReader()]
    (fields,), (attention,) = vitprobe.run(readers, "vit@digits", examples=4)
    alone = vitprobe.receptive_field("vit@digits", examples=4)
    assert (fields["blank"] == "").all()
    for name in NUMBERS:  # Attention is computed by another function while it is watched
        np.testing.assert_allclose(fields[name], alone[name], rtol=1e-4, atol=1e-7, err_msg=name)
    assert attention["distance"].equals(vitprobe.attention("vit@digits", examples=4)["distance"])


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, image, scale):
        return self.conv(image) * scale[:, None, None, None]


class Pairs(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(3, 8, 8, generator=generator)
        return {"image": image, "scale": torch.rand((), generator=generator)}


def test_models_of_several_inputs():
    model, data = Scaled(), torch.utils.data.DataLoader(Pairs(), batch_size=4)
    result = vitprobe.receptive_field(model, data, layers="output")
    weights = model.conv.weight.detach().mean(0).abs().mean(0)
    expected = (weights / weights.sum()).numpy()
    found = result["map"].values[0][3:6, 3:6]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
