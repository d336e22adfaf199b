"""Geometry: torchvision's crop, flip, rotate and affine, as one map."""

import math

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from vitprobe.training.augment_options import AugmentOptions
from vitprobe.training.boxes import TRIES
from vitprobe.training.geometry import Geometry, inverse_map, sampled

SIZES = [(32, 32), (20, 30), (224, 224)]
BILINEAR = InterpolationMode.BILINEAR


def unit(height, width, n=6):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


def seen(x, *, angle=0.0, size=1.0, dx=0, dy=0, part_x=1, part_y=1, x0=0, y0=0, edges=False):
    """`x` through inverse_map with one number, or one for each image, of each parameter."""
    values = [
        torch.as_tensor(value, dtype=torch.float32).expand(len(x))
        for value in (angle, size, dx, dy, part_x, part_y, x0, y0)
    ]
    return sampled(x, inverse_map(*x.shape[2:], *values), edges=edges)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_rotation_is_torchvisions(height, width):
    x, degrees = unit(height, width), [-40.0, -7.5, 0.0, 3.0, 90.0, 170.0]
    result = seen(x, angle=torch.tensor(degrees) * math.pi / 180)
    for image, angle, ours in zip(x, degrees, result, strict=True):  # rotate counts the other way
        expected = F.rotate(image, -angle, interpolation=BILINEAR)
        torch.testing.assert_close(ours, expected, rtol=0, atol=3e-7 * height)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_affine_is_torchvisions(height, width):
    x = unit(height, width)
    parameters = torch.tensor(
        [
            (10, 1.1, 3, -2),
            (-25, 0.9, 0, 5),
            (0, 1.3, 0, 0),
            (0, 1, -4, 1),
            (5, 0.8, 2, 2),
            (0,) * 4,
        ]
    ).float()
    parameters[5, 1] = 1
    angle, size, dx, dy = parameters.unbind(1)
    result = seen(x, angle=angle * math.pi / 180, size=size, dx=dx, dy=dy)
    for i, (angle, size, dx, dy) in enumerate(parameters.tolist()):
        expected = F.affine(x[i], angle, [dx, dy], size, [0.0, 0.0], interpolation=BILINEAR)
        torch.testing.assert_close(result[i], expected, rtol=0, atol=3e-7 * height)


def numbers(*columns):
    return torch.stack([torch.as_tensor(column).float() for column in columns], 1)


@pytest.mark.parametrize("rotation", [0, 1e-9])  # copied, and interpolated at the very pixels
@pytest.mark.parametrize(("height", "width"), SIZES[:2])
def test_crop_and_flip_are_torchvisions(height, width, rotation):
    x, share = unit(height, width, 8), 0.125
    rows, columns = round(share * height), round(share * width)
    top = torch.tensor([0, 2 * rows, 1, rows, 0, 3, 2, 2 * rows])
    left = torch.tensor([0, 2 * columns, 2, columns, 2 * columns, 1, 0, 3])
    flip = torch.tensor([0.0, 0.99, 0.49, 0.5, 0.1, 0.7, 0.2, 0.6])
    places = ((top + 0.5) / (2 * rows + 1), (left + 0.5) / (2 * columns + 1))
    angle = [torch.ones(8)] if rotation else []
    geometry = Geometry(AugmentOptions(crop=share, flip=0.5, rotation=rotation))
    used = geometry.width
    assert used == 3 + bool(rotation)
    result = geometry(x, numbers(*places, flip, *angle))
    padded = F.pad(x, [columns, rows])
    for i in range(8):
        expected = F.crop(padded[i], int(top[i]), int(left[i]), height, width)
        expected = F.horizontal_flip(expected) if flip[i] < 0.5 else expected
        if rotation:
            torch.testing.assert_close(result[i], expected, rtol=0, atol=1e-5)
        else:
            assert torch.equal(result[i], expected)


def test_copying_keeps_bytes():
    x = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    geometry = Geometry(AugmentOptions(flip=1.0))
    assert torch.equal(geometry(x, torch.rand(4, geometry.width)), x.flip(3))
    assert Geometry(AugmentOptions()).width == 0
    assert Geometry(AugmentOptions())(x, torch.rand(4, 0)) is x


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 30)])
def test_resized_crop_is_torchvisions_but_for_the_cuts_rim(height, width):
    """torchvision repeats the cut's own rim; here the image goes on beyond the cut."""
    x = unit(height, width, 1)
    for top, left, h, w in [(0, 0, 16, 20), (3, 5, 20, 18), (height - 12, width - 12, 12, 12)]:
        result = seen(
            x,
            part_x=w / width,
            part_y=h / height,
            x0=left + (w - width) / 2,
            y0=top + (h - height) / 2,
            edges=True,
        )[0]
        expected = F.resized_crop(x[0], top, left, h, w, [height, width], antialias=False)
        rim = 2  # enlarged by 2.7 at most: half a pixel of the cut
        inner = (slice(None), slice(rim, -rim), slice(rim, -rim))
        torch.testing.assert_close(result[inner], expected[inner], rtol=0, atol=1e-4)
        corner = (slice(None), 0 if top == 0 else -1, 0 if left == 0 else -1)
        if top == 0 or top + h == height:  # at the image's own rim too: no black comes in
            torch.testing.assert_close(result[corner], expected[corner], rtol=0, atol=1e-4)


def test_resized_crop_of_a_white_image_is_white():
    white = torch.ones(50, 3, 16, 16)
    geometry = Geometry(AugmentOptions(resized_crop=0.1, flip=0.5))
    assert geometry.width == 2 * TRIES + 3
    draws = torch.rand(50, geometry.width, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(geometry(white, draws), white, rtol=0, atol=1e-6)


def test_drawn_ranges():
    """The extreme numbers give the extreme parameters: 10 degrees, 3 of 32 px, 0.8 and 1.2."""
    x = unit(32, 32, 2)
    geometry = Geometry(AugmentOptions(rotation=10, translate=0.1, scale=0.2))
    ends = torch.tensor([[0.0] * 4, [1.0] * 4])
    result = geometry(x, ends)
    for i, sign in enumerate((-1, 1)):
        expected = F.affine(
            x[i], sign * 10, [sign * 3, sign * 3], 1 + sign * 0.2, [0, 0], interpolation=BILINEAR
        )
        torch.testing.assert_close(result[i], expected, rtol=0, atol=1e-5)
