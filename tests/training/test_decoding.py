"""How the images of a folder are decoded, also where they are trained on."""

import numpy as np
import pytest
from PIL import Image

from vitprobe.data import CorruptImage
from vitprobe.errors import InputError
from vitprobe.training.parts import open_parts
from vitprobe.training.resolve import resolve


@pytest.fixture
def folder(tmp_path):
    """Twelve images of two classes, 6 x 4 pixels, that were taken with the camera on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in range(12):
        path = tmp_path / "set" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6, 3), 20 * i, np.uint8)).save(path, exif=exif)
    return f"imagefolder:{tmp_path / 'set'}"


def opened(folder, **options):
    return open_parts(resolve("scratch", {"dataset": folder, "image_size": 8, **options}))


def test_images_are_turned_as_their_exif_says(folder):
    assert opened(folder).train.data.decode(0).size == (4, 6)
    parts = opened(folder, ignore_orientation=True)
    assert {part.data.decode(0).size for part in (parts.train, parts.test)} == {(6, 4)}


def test_images_of_too_many_pixels_are_refused(folder):
    parts = opened(folder, max_pixels=23)
    for part in (parts.train, parts.test):
        with pytest.raises(CorruptImage, match="more than the 23 that are decoded: max_pixels"):
            part.data.decode(0)
    with pytest.raises(InputError, match="max_pixels must be from 1"):
        opened(folder, max_pixels=0)


def test_they_are_told_apart_by_name(folder):
    names = [
        resolve("scratch", {"dataset": folder, **options}).model_name
        for options in ({}, {"ignore_orientation": True}, {"max_pixels": 10**6})
    ]
    assert names[0] == names[2] != names[1]
