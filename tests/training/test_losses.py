"""Sums of losses, and the first that is not finite."""

import pytest
import torch

from vitprobe.training.losses import Losses


def test_the_sum_is_weighted_and_exact():
    losses = Losses(torch.device("cpu"))
    for loss, count in ((0.5, 4), (2.0, 1)):
        losses.add(torch.tensor(loss), count)
    assert losses.sums.dtype == torch.float64
    assert losses.sums.tolist() == [4.0, 5.0]
    assert losses.first_bad() is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_bad_loss_is_found(bad):
    losses = Losses(torch.device("cpu"))
    losses.add(torch.tensor(1.0), 1)
    assert losses.first_bad() is None
    for loss in (1.0, bad, 1.0, float("nan")):
        losses.add(torch.tensor(loss), 1)
    ago, value = losses.first_bad()
    assert ago == 2
    assert str(value) == str(bad)
