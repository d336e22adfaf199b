"""`vitprobe maps`: files written, images of either kind, wrong input in one line."""

import pytest
import xarray
from PIL import Image


def written(ended):
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    return [line.split()[-1] for line in lines if line.startswith("wrote")]


@pytest.mark.drawn
def test_one_image_of_a_data_set(vitprobe_command):
    ended = vitprobe_command("maps", "--model", "vit", "--index", 3)
    assert written(ended) == [
        f"results/maps-vit-image-3{end}"
        for end in (".nc", ".png", "-positions.png", "-filters.png")
    ]
    assert "random weights (seed 0)" in ended.out
    assert "digits: 1 image, 8 x 8 patches, attention of the class token" in ended.out
    with xarray.open_dataset("results/maps-vit-image-3.nc", engine="h5netcdf") as result:
        assert dict(result["attention"].sizes) == {
            "image": 1,
            "layer": 6,
            "head": 4,
            "row": 8,
            "col": 8,
        }
        assert result.attrs["dataset"] == "digits" and result.attrs["split"] == "test"
    for path in written(ended)[1:]:
        with Image.open(path) as image:
            assert min(image.size) > 300


def test_a_folder_of_images(vitprobe_command, tmp_path):
    folder = tmp_path / "animals"
    folder.mkdir()
    for name, size in (("cat.png", (40, 50)), ("a dog.jpg", (64, 32))):
        Image.effect_noise(size, 50).convert("RGB").save(folder / name)
    ended = vitprobe_command(
        "maps",
        "--model",
        "vit",
        "--image",
        folder,
        "--layers",
        "blocks.0,blocks.5",
        "--output",
        "o",
    )
    names = [path.removeprefix("o/maps-vit") for path in written(ended)]
    assert names[:3] == [".nc", "-image-a_dog.png", "-image-cat.png"]
    with xarray.open_dataset("o/maps-vit.nc", engine="h5netcdf") as result:
        assert list(result["image"].values) == ["a dog", "cat"]
        assert list(result["layer"].values) == ["blocks.0.attn", "blocks.5.attn"]
        assert result.attrs["model_image_size"] == "32, 32"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "either --image FILE (or a folder) or --index N"),
        (("--index", 1, "--image", "a.png"), "either --image FILE (or a folder) or --index N"),
        (("--index", 360), "no image 360: there are 360, from 0 to 359"),
        (("--index", -1), "no image -1"),
        (("--index", "x"), "--index"),
        (("--image", "absent.png"), "no such file or folder: absent.png"),
        (("--image", "text.png"), "unreadable image text.png"),
        (("--index", 1, "--layers", "blocks.9"), "no attention is called 'blocks.9'"),
        (("--index", 1, "--dataset", "digit"), "did you mean 'digits'"),
        (("--index", 1, "--image-size", 30), "30"),
        (("--index", 1, "--output", "text.png/results"), "cannot write to --output"),
    ],
)
def test_wrong_input_is_one_line(vitprobe_command, tmp_path, words, expected):
    (tmp_path / "text.png").write_text("no image")
    ended = vitprobe_command("maps", "--model", "vit", *words)
    assert ended.code == 2 and ended.out == ""
    assert len(ended.err.splitlines()) == 1, ended.err
    assert expected in ended.err
    assert not (tmp_path / "results").exists()


def test_a_model_without_attention(vitprobe_command):
    ended = vitprobe_command("maps", "--model", "resnet20", "--index", 0)
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith("vitprobe: resnet20 has no attention")
