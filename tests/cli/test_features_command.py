"""`vitprobe features`: files written, images of either kind, wrong input in one line."""

import pytest
import xarray
from PIL import Image


def written(ended):
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    return [line.split()[-1] for line in lines if line.startswith("wrote")]


@pytest.mark.drawn
def test_one_image_of_a_data_set_and_its_figure_again(vitprobe_command):
    line = ("features", "--model", "resnet20@digits", "--index", 3)
    ended = vitprobe_command(*line)
    stem = "results/features-resnet20@digits-image-3"
    assert written(ended) == [f"{stem}{end}" for end in (".nc", ".png", "-filters.png")]
    assert "10: the mean and the 8 strongest channels of each" in ended.out
    with xarray.open_dataset(f"{stem}.nc", engine="h5netcdf") as result:
        assert dict(result["top"].sizes) == {
            "image": 1,
            "layer": 10,
            "rank": 8,
            "row": 32,
            "col": 32,
        }
        assert result.attrs["dataset"] == "digits" and result.attrs["top"] == 8
    for path in written(ended)[1:]:
        with Image.open(path) as image:
            assert min(image.size) > 300
    again = vitprobe_command("plot", f"{stem}.nc", "--layers", "layer3.*", "--output", "again.png")
    assert written(again) == ["again.png"]
    # its own place again; another run's never
    assert written(vitprobe_command(*line)) == written(ended)
    other = vitprobe_command(*line, "--top", 2, "--layers", "layer3.2,pool")
    assert written(other)[0] not in written(ended)
    assert "holds another run" in other.err
    assert "left out: pool: no map: it is pooled to one position" in other.out


def test_a_folder_of_images(vitprobe_command, tmp_path):
    folder = tmp_path / "animals"
    folder.mkdir()
    for name, size in (("cat.png", (40, 50)), ("a dog.jpg", (64, 32))):
        Image.effect_noise(size, 50).convert("RGB").save(folder / name)
    ended = vitprobe_command(
        *("features", "--model", "vit", "--image", folder, "--layers", "blocks.0", "--output", "o")
    )
    names = [path.removeprefix("o/features-vit") for path in written(ended)]
    assert names == [".nc", "-image-a_dog.png", "-image-cat.png", "-filters.png"]
    with xarray.open_dataset("o/features-vit.nc", engine="h5netcdf") as result:
        assert list(result["image"].values) == ["a dog", "cat"]
        assert list(result["layer"].values) == ["blocks.0"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "either --image FILE (or a folder) or --index N"),
        (("--index", 360), "no image 360: there are 360, from 0 to 359"),
        (("--image", "absent.png"), "no such file or folder: absent.png"),
        (("--image", "text.png"), "unreadable image text.png"),
        (("--index", 1, "--layers", "layer4.0"), "did you mean 'layer3.0'"),
        (("--index", 1, "--layers", "linear"), "'linear': no map: it has no token axis"),
        (("--index", 1, "--layers", "act1,,"), "--layers has an empty name"),
        (("--index", 1, "--top", 0), "--top 0: give how many"),
        (("--index", 1, "--dataset", "digit"), "did you mean 'digits'"),
    ],
)
def test_wrong_input_is_one_line(vitprobe_command, tmp_path, words, expected):
    (tmp_path / "text.png").write_text("no image")
    ended = vitprobe_command("features", "--model", "resnet20", *words)
    assert ended.code == 2 and ended.out == ""
    assert len(ended.err.splitlines()) == 1, ended.err
    assert expected in ended.err
    assert not (tmp_path / "results").exists()


def test_one_model(vitprobe_command, tmp_path):
    ended = vitprobe_command("features", "--model", "vit(depth=2,dim=24),resnet20", "--index", 1)
    line = "vitprobe: --model takes one model, not 2: vit(depth=2,dim=24),resnet20\n"
    assert (ended.code, ended.err) == (2, line)
    (tmp_path / "a,b.pt").write_text("no weights")  # a name may have a comma
    ended = vitprobe_command("features", "--model", "vit@a,b.pt", "--index", 1)
    assert ended.code == 2 and "a,b.pt" in ended.err and "one model" not in ended.err


def test_a_size_that_the_model_cannot_take(vitprobe_command):
    ended = vitprobe_command("features", "--model", "vit", "--index", 1, "--image-size", 30)
    assert ended.code == 2 and len(ended.err.splitlines()) == 1 and "30" in ended.err
