"""What a model is shown, as a want: before its forward, and no part of when that ends."""

import pytest
import torch
from pass_readers import Means, Norms
from torch import nn
from torch.utils.data import DataLoader

from vitprobe.input_options import InputOptions
from vitprobe.passes import InputsOf
from vitprobe.passes.inputs import prepare
from vitprobe.passes.run import run


class Shown(Means):
    """The mean norm of the images."""

    analysis, distinct = "shown", 1

    def wanted(self, model):
        self.model, self.forwards = model.subject.model, []
        return [InputsOf(0, self.take)], ["image"]

    def take(self, images):
        self.forwards.append(self.model.forwards)
        images = images if isinstance(images, torch.Tensor) else images.kwargs["image"]
        self.metrics["image"].update(images.double().flatten(1).norm(dim=1))


class Two(nn.Module):
    """Counts its forwards, and those that come to their end; writes to its input."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.forwards = self.ended = 0

    def forward(self, image):
        self.forwards += 1
        x = self.one(image.mul_(1))
        self.ended += 1
        return self.two(x)


@pytest.fixture
def images():
    return torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def norms(images):
    return images.double().flatten(1).norm(dim=1).mean().item()


def test_alone_no_forward_is_made(images):
    model, reader = Two(), Shown()
    ((result,),) = run(prepare([model], images, InputOptions(batch_size=8)), [reader])
    assert result["mean"].item() == pytest.approx(norms(images), rel=1e-6)
    assert model.forwards == 0 and len(reader.forwards) == 3


def test_beside_others_it_comes_first_and_ends_nothing(images):
    model, shown = Two(), Shown()
    readers = [Norms("one"), shown]
    (one,), (image,) = run(prepare([model], images, InputOptions(batch_size=8)), readers)
    before = model.forwards - 3  # of the survey
    assert shown.forwards == [before, before + 1, before + 2]
    assert model.ended == before  # then each ends with `one`
    assert image["mean"].item() == pytest.approx(norms(images), rel=1e-6)
    assert one["mean"].item() > 0


def test_of_models_with_several_inputs(images):
    loader = DataLoader([{"image": each} for each in images], batch_size=10)
    ((result,),) = run(prepare([Two()], loader, InputOptions()), [Shown()])
    assert result["mean"].item() == pytest.approx(norms(images), rel=1e-6)


def test_batches_too_small_for_its_reader_are_not_given(images):
    class Four(Shown):
        least = 8

    reader = Four()
    run(prepare([Two()], images, InputOptions(batch_size=8)), [reader, Norms("one")])
    assert len(reader.forwards) == 2
