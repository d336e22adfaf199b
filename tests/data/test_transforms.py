"""Transform: exact where nothing is resized, timm's numbers where something is."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vitprobe.data import Transform
from vitprobe.errors import InputError


@pytest.fixture(scope="module")
def cifar(real_data):
    with np.load(real_data / "cifar10-test1000.npz") as file:
        return file["images"][:8]


def gradient(height, width):
    """Distinct rows and columns: red is the row, green the column."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(height)[:, None], np.arange(width)[None]
    return image


def test_right_size_is_exact(cifar):
    exact = torch.from_numpy(cifar[0]).permute(2, 0, 1) / 255
    assert torch.equal(Transform(32)(cifar[0]), exact)
    assert torch.equal(Transform(32)(Image.fromarray(cifar[0])), exact)
    assert torch.equal(Transform(None)(cifar[0]), exact)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    normalised = (exact - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(Transform(32, mean, std)(cifar[0]), normalised, rtol=1e-6, atol=1e-7)


def test_small_image_is_enlarged_whole(cifar):
    """No crop even with crop_pct: the corners are the image's own corners."""
    x = Transform(224, crop_pct=0.875)(cifar[0])
    assert x.shape == (3, 224, 224)
    corners = torch.from_numpy(cifar[0][[0, 0, -1, -1], [0, -1, 0, -1]]) / 255
    assert torch.equal(x[:, [0, 0, -1, -1], [0, -1, 0, -1]].T, corners)
    # halving again (box filter on 7 x 7 pixels) gives the image back, up to bilinear smoothing
    back = torch.nn.functional.avg_pool2d(x, 7)
    assert (back - Transform(32)(cifar[0])).abs().mean() < 0.02


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(300, 400), (500, 257), (256, 256), (225, 900)])
def test_large_image_is_timms_evaluation(height, width, interpolation):
    from timm.data import create_transform

    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    theirs = create_transform(
        224, interpolation=interpolation, mean=mean, std=std, crop_pct=0.875, crop_mode="center"
    )
    ours = Transform(224, mean, std, 0.875, interpolation)
    torch.testing.assert_close(ours(image), theirs(image), rtol=1e-6, atol=1e-6)


def test_crop_takes_the_centre():
    x = (Transform(32, crop_pct=0.5)(gradient(64, 64)) * 255).round()
    assert x[0, :, 0].tolist() == list(range(16, 48))
    assert x[1, 0].tolist() == list(range(16, 48))


def test_oblong_image_keeps_its_aspect():
    x = (Transform((32, 32))(gradient(32, 50)) * 255).round()
    assert x[1, 0].tolist() == list(range(9, 41)), "the middle 32 of 50 columns, not a squeeze"


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.integers(1, 40),
    st.sampled_from([1.0, 0.95, 0.875, 0.5]),
)  # fmt: skip
def test_any_image_fills_the_goal(height, width, goal_h, goal_w, crop_pct):
    """A white image stays white to its last pixel: the crop never reaches past the image."""
    x = Transform((goal_h, goal_w), crop_pct=crop_pct)(np.full((height, width), 255, np.uint8))
    assert x.shape == (3, goal_h, goal_w)
    assert (x == 1).all()


def test_grey_is_three_equal_channels():
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    want = (torch.from_numpy(grey) / 255).expand(3, 8, 8)
    for image in (grey, grey[..., None], Image.fromarray(grey)):
        assert torch.equal(Transform()(image), want)


def test_16_bit_grey_keeps_its_high_byte(tmp_path):
    levels = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as image:
        x = Transform()(image)
    assert torch.equal((x[0] * 255).round().flatten(), torch.arange(256.0))


def test_filled_keeps_what_is_there():
    own = Transform(32, mean=(0.5, 0.5, 0.5))
    full = own.filled(image_size=224, mean=(0, 0, 0), std=(0.1, 0.2, 0.3))
    assert full == Transform((32, 32), (0.5, 0.5, 0.5), (0.1, 0.2, 0.3))
    assert Transform().filled(image_size=224).image_size == (224, 224)
    assert own == Transform((32, 32), [0.5, 0.5, 0.5]), "equal transforms compare equal"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"std": (1, 0, 1)}, "std must be positive"),
        ({"mean": (0.5,)}, "three values"),
        ({"mean": (0.5, float("nan"), 0.5)}, "mean must be finite"),
        ({"std": (float("inf"),) * 3}, "std must be finite"),
        ({"crop_pct": 0}, "crop_pct"),
        ({"image_size": 0}, "image_size"),
        ({"interpolation": "bicubik"}, "'bicubic'"),
    ],
)
def test_senseless_fields(fields, words):
    with pytest.raises(InputError, match=words):
        Transform(**fields)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((8, 8, 3), np.float32), "float32"),
        (np.zeros((8, 8, 4), np.uint8), r"\(8, 8, 4\)"),
        (Image.new("F", (8, 8)), "no known range"),
        ("a.png", "got str"),
    ],
)
def test_images_of_unknown_range(image, words):
    with pytest.raises(InputError, match=words):
        Transform(8)(image)
