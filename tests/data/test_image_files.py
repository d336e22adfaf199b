"""One image file, or a folder of them."""

import pytest
from PIL import Image

from vitprobe.data import image_files
from vitprobe.errors import InputError


def save(path, level=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), level).save(path)


def test_one_file(tmp_path):
    save(tmp_path / "one.png", 7)
    data = image_files(tmp_path / "one.png")
    image, label = data[0]
    assert (len(data), label, image.mode, image.getpixel((0, 0))) == (1, -1, "RGB", (7, 7, 7))


def test_a_folder_in_natural_order_without_what_lies_deeper(tmp_path):
    for name in ("10.png", "2.png", "deep/1.png", ".hidden.png"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    paths = image_files(str(tmp_path)).paths
    assert [path.removeprefix(f"{tmp_path}/") for path in paths] == ["2.png", "10.png"]


def test_a_folder_of_folders(tmp_path):
    for name in ("b/1.png", "a/1.png"):
        save(tmp_path / name)
    paths = image_files(tmp_path).paths
    assert [path.removeprefix(f"{tmp_path}/") for path in paths] == ["a/1.png", "b/1.png"]


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="no such file or folder: .*absent.png"):
        image_files(tmp_path / "absent.png")
    with pytest.raises(InputError, match="no images in"):
        image_files(tmp_path)
