"""Which activations are written to later in the forward: seen without keeping their memory."""

import gc
import weakref

import pytest
import torch
import torchvision
from torch import nn

from vitprobe.taps import WriteWatch, survey


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.add_(1),
        lambda x: nn.functional.relu_(x),
        lambda x: x.view(-1)[2:].mul_(2),  # through a view
        lambda x: x.detach().zero_(),
        lambda x: torch.mul(x, 2, out=x),
    ],
)
def test_every_write_is_seen(write):
    x = torch.randn(3, 4)
    watch, before = WriteWatch(x), WriteWatch(x[1:])
    assert not watch.written()
    write(x)
    assert watch.written() and before.written()
    assert not WriteWatch(x).written()


def test_reading_is_no_write():
    x = torch.randn(3, 4, dtype=torch.bfloat16)
    watch = WriteWatch(x)
    _ = x.relu() + x.view(-1).sum(), x.clone().add_(1), x.detach()
    assert not watch.written()


def test_the_memory_is_not_kept():
    x = torch.randn(3, 4)
    storage = weakref.ref(x.untyped_storage())
    watch = WriteWatch(x)
    data = torch.multiprocessing.reductions.StorageWeakRef(x.untyped_storage())
    del x
    gc.collect()
    assert data.expired() and storage() is None
    assert not watch.written()


def test_without_counters_everything_passes_for_written():
    with torch.inference_mode():
        x = torch.randn(3)
        assert WriteWatch(x).written()
    assert WriteWatch(x).written()


def test_the_survey_says_what_is_overwritten():
    """torchvision's resnet50: 49 of its 182 modules that fire, by in-place ReLU after each norm
    but those of the four shortcuts, and `out += identity`."""
    model = torchvision.models.resnet50(weights=None)
    sites = survey(model, torch.randn(4, 3, 32, 32))
    written = [site.name for site in sites if site.written]
    norms = [site.name for site in sites if ".bn" in site.name or site.name == "bn1"]
    assert written == norms and len(written) == 49


def test_writes_that_no_hook_shows_are_seen():
    class Quiet(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Flatten(), nn.Linear(12, 5)
            self.third = nn.Linear(5, 5)

        def forward(self, x):
            y = self.second(self.first(x))
            z = self.third(y)
            y[:, 0] = 0  # after its last use by a module
            return z + y

    sites = survey(Quiet(), torch.randn(4, 3, 2, 2))
    assert [site.name for site in sites if site.written] == ["second"]
