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


def test_one_channel_is_the_grey_version(cifar):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for image in (grey, grey[..., None], Image.fromarray(grey), Image.fromarray(grey).convert("P")):
        x = Transform(channels=1)(image)
        assert torch.equal(x, torch.from_numpy(grey)[None] / 255), "grey images as they are"
    want = np.asarray(Image.fromarray(cifar[0]).convert("L"))
    one = Transform(32, channels=1)
    assert np.array_equal(one.pixels(cifar[0]), want[..., None])
    x = Transform(32, (0.5,), (0.25,), channels=1)(Image.fromarray(cifar[0]))
    assert x.dtype == torch.float32 and x.shape == (1, 32, 32)
    assert torch.equal(x[0], (torch.from_numpy(want) / 255 - 0.5) / 0.25)


def test_one_channel_is_resized_and_cut_as_three_are():
    noise = np.random.default_rng(0).integers(0, 256, (50, 40), dtype=np.uint8)
    for fields in ({"image_size": (20, 30)}, {"image_size": 32, "crop_pct": 0.9}):
        one, three = Transform(**fields, channels=1)(noise), Transform(**fields)(noise)
        assert torch.equal(one.expand(3, -1, -1), three)


def test_mean_and_std_of_one_channel():
    given = Transform(mean=(0.1, 0.2, 0.6), std=(0.2, 0.3, 0.4), channels=1)
    assert given.mean == pytest.approx((0.3,)) and given.std == pytest.approx((0.3,))
    assert Transform(channels=1).filled(mean=(0.2,) * 3, std=(1,)).mean == pytest.approx((0.2,))
    assert Transform(mean=(0.5,), channels=1) != Transform(mean=(0.5,) * 3)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"channels": 4}, "makes images of 1 or 3 channels, not 4; give tensors"),
        ({"channels": 1, "mean": (0.5, 0.5)}, "mean must have one value, or three, got 2"),
        ({"channels": 1, "std": ()}, "std must have one value, or three, got 0"),
        ({"channels": 3, "std": (0.5,)}, r"three values \(R, G, B\), got 1"),
        ({"channels": 1, "std": (0,)}, "std must be positive"),
    ],
)
def test_senseless_channels(fields, words):
    with pytest.raises(InputError, match=words):
        Transform(**fields)
