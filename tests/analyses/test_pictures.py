"""Images by number: what the model gets, what is shown, how they are called."""

import numpy as np
import pytest
import torch
from PIL import Image

from vitprobe.analyses.pictures import choose
from vitprobe.data import Transform, image_files, load_data
from vitprobe.errors import InputError


def save(path, size=(8, 8), colour=(10, 200, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def test_normalisation_is_undone_in_what_is_shown():
    transform = Transform(image_size=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    data = load_data("digits")
    ((x, shown),) = choose(data, 7, transform)
    assert x.shape == (1, 3, 16, 16) and shown.dtype == np.uint8
    expected = np.asarray(data[7][0].resize((16, 16), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(shown, expected)
    assert torch.equal(x[0], transform(data[7][0]))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_tensor_is_shown_from_its_smallest_to_its_largest_value(channels):
    x = torch.randn(2, channels, 4, 6, generator=torch.Generator().manual_seed(0))
    chosen = choose(x, None, Transform())
    assert chosen.labels == ["0", "1"] and chosen.name == f"tensor 2x{channels}x4x6"
    for image, (given, shown) in zip(x, chosen, strict=True):
        assert torch.equal(given[0], image)
        assert shown.shape == (4, 6, 3 if channels == 3 else 1)
        assert (shown.min(), shown.max()) == (0, 255)


def test_a_constant_tensor_is_black():
    ((_, shown),) = choose(torch.full((1, 3, 4, 4), 7.0), 0, Transform())
    assert not shown.any()


def test_labels_are_as_long_as_they_must_be(tmp_path):
    for name in ("a/cat.png", "a/dog.png"):
        save(tmp_path / name)
    labels = choose(image_files(tmp_path / "a"), None, Transform()).labels
    assert labels == ["cat", "dog"]
    save(tmp_path / "a" / "cat.jpg")
    labels = choose(image_files(tmp_path / "a"), None, Transform()).labels
    assert labels == ["cat.jpg", "cat.png", "dog.png"]
    save(tmp_path / "b" / "cat.png")
    labels = choose(image_files(tmp_path), None, Transform()).labels
    assert [label.removeprefix(tmp_path.as_posix()) for label in labels] == [
        "/a/cat.jpg",
        "/a/cat.png",
        "/a/dog.png",
        "/b/cat.png",
    ]


def test_images_of_two_sizes_need_an_image_size(tmp_path):
    save(tmp_path / "a.png", (8, 8))
    save(tmp_path / "b.png", (9, 8))
    with pytest.raises(InputError, match="image b is 3x8x9, the first one 3x8x8"):
        list(choose(image_files(tmp_path), None, Transform()))
    assert len(list(choose(image_files(tmp_path), None, Transform(image_size=8)))) == 2


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "torn.png").write_bytes(save(tmp_path / "a.png").read_bytes()[:40])
    with pytest.raises(InputError, match="unreadable image .*torn.png.*repair or remove it"):
        list(choose(image_files(tmp_path / "torn.png"), None, Transform()))


def test_data_without_numbers_is_refused():
    loader = torch.utils.data.DataLoader(torch.zeros(4, 3, 2, 2))
    with pytest.raises(InputError, match="DataLoader cannot be read by index"):
        choose(loader, 0, Transform())
