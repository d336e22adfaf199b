"""RandAugment: each operation is torchvision's, and all are equally likely."""

import math

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from vitprobe.training.rand_augment import OPERATIONS, rand_augment


def shear(x, across, down):
    degrees = [math.degrees(math.atan(value)) for value in (across, down)]
    return F.affine(x, 0, [0, 0], 1, degrees, center=[0, 0])


def move(x, across, down):
    return F.affine(x, 0, [across, down], 1, [0, 0])


# at magnitude 9 of 0..30, images of 32 x 32; `s` is 1 or -1
EXPECTED = {
    "Identity": lambda x, s: x,
    "ShearX": lambda x, s: shear(x, s * 0.09, 0),
    "ShearY": lambda x, s: shear(x, 0, s * 0.09),
    "TranslateX": lambda x, s: move(x, s * 4, 0),  # 150 / 331 * 32 * 9 / 30 = 4.35
    "TranslateY": lambda x, s: move(x, 0, s * 4),
    "Rotate": lambda x, s: F.rotate(x, s * 9.0),
    "Brightness": lambda x, s: F.adjust_brightness(x, 1 + s * 0.27),
    "Color": lambda x, s: F.adjust_saturation(x, 1 + s * 0.27),
    "Contrast": lambda x, s: F.adjust_contrast(x, 1 + s * 0.27),
    "Sharpness": lambda x, s: F.adjust_sharpness(x, 1 + s * 0.27),
    "Posterize": lambda x, s: F.posterize(x, 7),  # 8 - 4 * 9 / 30, rounded
    "Solarize": lambda x, s: F.solarize(x, 255 * 0.7),
    "AutoContrast": lambda x, s: F.autocontrast(x),
    "Equalize": lambda x, s: F.equalize(x),
}


def drawn(names, reverse):
    which = torch.tensor([(OPERATIONS.index(name) + 0.5) / len(OPERATIONS) for name in names])
    return torch.stack([which, torch.tensor([0.3 if r else 0.7 for r in reverse])], 1)


def test_operations_are_torchvisions(noise):
    assert set(OPERATIONS) == set(EXPECTED)
    names = list(EXPECTED) * 3
    reverse = [i % 3 == 1 for i in range(len(names))]
    images = noise(len(names)) // 2 + 30  # narrow, so that contrast can be stretched
    before = images.clone()
    result = rand_augment(images, drawn(names, reverse), 9)
    assert torch.equal(images, before) and result.dtype == torch.uint8
    for i, (name, reversed_) in enumerate(zip(names, reverse, strict=True)):
        expected = EXPECTED[name](images[i], -1 if reversed_ else 1)
        difference = (result[i].int() - expected.int()).abs()
        assert difference.max() <= 1 and (difference > 0).float().mean() < 0.01, name


@pytest.mark.parametrize("order", [("Solarize", "Rotate"), ("Rotate", "Solarize")])
def test_operations_follow_each_other(noise, order):
    images = noise(3)
    numbers = torch.cat([drawn([name] * 3, [False] * 3) for name in order], 1)
    expected = images
    for name in order:
        expected = EXPECTED[name](expected, 1)
    assert torch.equal(rand_augment(images, numbers, 9), expected)


def test_all_are_equally_likely_and_half_are_reversed(noise, monkeypatch):
    counts = {}

    def count(images, name, amount, **_):
        counts[name, amount < 0] = counts.get((name, amount < 0), 0) + len(images)
        return images

    module = "vitprobe.training.rand_augment._TORCHVISION._apply_image_or_video_transform"
    monkeypatch.setattr(module, count)
    n = 14_000
    numbers = torch.rand(n, 2, generator=torch.Generator().manual_seed(0))
    assert rand_augment(noise(1, 2, 2).expand(n, 3, 2, 2), numbers, 9).shape == (n, 3, 2, 2)
    signed = [name for name in EXPECTED if (name, True) in counts]
    assert len(signed) == 9 and "Posterize" not in signed
    for name in OPERATIONS:
        assert abs(sum(counts.get((name, r), 0) for r in (False, True)) - 1000) < 130
    for name in signed:
        assert abs(counts[name, True] - 500) < 95
