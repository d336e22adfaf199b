"""Sums of losses, and the first that is not finite."""

import math

import pytest
import torch

from vitprobe.passes.processes import Processes
from vitprobe.training.losses import Losses


def test_the_mean_is_weighted_by_images():
    losses = Losses(Processes())
    assert math.isnan(losses.mean)
    for loss, count in ((0.5, 4), (2.0, 1)):
        losses.add(torch.tensor(loss), count)
    assert losses.images == 0  # not looked at yet
    assert losses.look() is None
    assert (losses.total, losses.images, losses.mean) == (4.0, 5, 0.8)
    assert losses.look() is None and losses.images == 5


def test_looking_more_often_gives_the_same_bits():
    often, seldom = Losses(Processes()), Losses(Processes())
    for loss in torch.rand(100, generator=torch.Generator().manual_seed(0)):
        often.add(loss, 3)
        seldom.add(loss, 3)
        assert often.look() is None
    assert seldom.look() is None
    assert seldom.total == often.total > 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_bad_loss_is_found(bad):
    losses = Losses(Processes())
    losses.add(torch.tensor(1.0), 1)
    assert losses.look() is None
    for loss in (1.0, bad, 1.0, float("nan")):
        losses.add(torch.tensor(loss), 1)
    ago, value = losses.look()
    assert ago == 2
    assert str(value) == str(bad)
