"""Mixup and CutMix: torchvision's values, also for a part of the batch."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from vitprobe.training.augment_options import AugmentOptions
from vitprobe.training.mix import Mix, MixDraw

N, CLASSES = 8, 5
LABELS = torch.tensor([0, 1, 2, 3, 4, 0, 0, 1])


def images():
    return torch.randn(N, 3, 20, 30, generator=torch.Generator().manual_seed(0))


def mixed(draw, start=0, stop=N):
    mix = Mix(AugmentOptions(mixup=0.8, cutmix=1.0), CLASSES)
    rows = mix.partner_rows(start, stop, N)
    return mix(images()[rows], LABELS[rows], draw)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_mixup_is_torchvisions(share):
    theirs = v2.MixUp(num_classes=CLASSES)
    theirs.make_params = lambda flat: {"lam": share}
    expected, targets = theirs(images(), LABELS)
    ours, labels = mixed(MixDraw(share, None))
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(labels, targets)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.97, 1.0])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.5, 0.26), (0.999, 0.7)])
def test_cutmix_is_torchvisions(share, centre, monkeypatch):
    theirs = v2.CutMix(num_classes=CLASSES)
    theirs._dist.sample = lambda shape: torch.tensor(share)
    across = {30: int(centre[1] * 30), 20: int(centre[0] * 20)}
    monkeypatch.setattr(torch, "randint", lambda side, size: torch.tensor([across[side]]))
    expected, targets = theirs(images(), LABELS)
    ours, labels = mixed(MixDraw(share, centre))
    assert torch.equal(ours, expected)
    torch.testing.assert_close(labels, targets, rtol=0, atol=1e-6)
    torch.testing.assert_close(labels.sum(1), torch.ones(N))


@pytest.mark.parametrize("draw", [MixDraw(0.3, None), MixDraw(0.4, (0.2, 0.9))])
def test_parts_have_the_bits_of_the_whole(draw):
    whole = mixed(draw)
    for start, stop in ((0, 3), (3, 8), (7, 8)):
        for part, all_ in zip(mixed(draw, start, stop), whole, strict=True):
            assert torch.equal(part, all_[start:stop])


def test_partners():
    assert Mix.partner_rows(0, 3, N).tolist() == [7, 0, 1, 2]
    assert Mix.partner_rows(5, 8, N).tolist() == [4, 5, 6, 7]
    assert Mix.partner_rows(0, 1, 1).tolist() == [0, 0], "a batch of one is mixed with itself"


def draws(n=2000, **options):
    generator, mix = torch.Generator().manual_seed(0), Mix(AugmentOptions(**options), CLASSES)
    return [mix.draw(generator) for _ in range(n)]


def test_shares_are_beta_distributed():
    for alpha in (0.2, 1.0):
        shares = np.array([draw.share for draw in draws(mixup=alpha)])
        assert abs(shares.mean() - 0.5) < 0.04
        assert abs(shares.var() - 1 / (4 * (2 * alpha + 1))) < 0.02, "Beta(a, a)"
    assert all(draw.centre is None for draw in draws(9, mixup=0.5))
    places = np.array([draw.centre for draw in draws(cutmix=1.0)])
    assert 0 <= places.min() < 0.01 and 0.99 < places.max() < 1
    assert abs(places.mean() - 0.5) < 0.02


def test_both_share_the_batches():
    both = draws(mixup=0.8, cutmix=1.0)
    cuts = [draw for draw in both if draw.centre]
    assert abs(len(cuts) / len(both) - 0.5) < 0.05
    assert both == draws(mixup=0.8, cutmix=1.0), "the generator's seed decides"
