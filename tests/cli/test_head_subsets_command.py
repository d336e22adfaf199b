"""`vitprobe head-subsets`: the files written, and wrong input in one line."""

import pytest
import xarray
from PIL import Image

SMALL = ("--examples", 48, "--batch-size", 16)


def written(ended):
    lines = ended.out.splitlines()
    return [line.split()[-1] for line in lines if line.startswith("wrote")]


@pytest.mark.drawn
def test_files(vitprobe_command):
    ended = vitprobe_command("head-subsets", "--models", "vit,resnet20", *SMALL)
    assert ended.code == 0, ended.err
    result, figure = written(ended)
    assert "random weights (seed 0)" in ended.out and "48 examples in 3 batches of 16" in ended.out
    with xarray.open_dataset(result, engine="h5netcdf") as read:
        assert list(read["size"].values) == [1, 1, 1, 1, 2, 2, 2]
        assert list(read["layer"].values) == ["layer1.0", "layer1.1", "layer1.2", "layer2.0"]
        assert read["cka"].notnull().all() and read["cka_se"].notnull().all()
        assert read.attrs["examples"] == 48
    with Image.open(figure) as image:
        assert min(image.size) > 300


def test_options(vitprobe_command):
    words = ("--layer", "blocks.5", "--sizes", "3", "--layers", "conv1,layer3.2")
    words += ("--precision", "bf16")
    ended = vitprobe_command("head-subsets", "--models", "vit,resnet20", *SMALL, *words)
    assert ended.code == 0, ended.err
    with xarray.open_dataset(written(ended)[0], engine="h5netcdf") as read:
        assert list(read["size"].values) == [3, 3]
        assert list(read["layer"].values) == ["conv1", "layer3.2"]
        assert read.attrs["layer_a"] == "blocks.5.attn" and read.attrs["dtype"] == "bf16"
        assert read["cka"].notnull().all()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--models", "vit"), "--models takes two models"),
        (("--models", "vit,resnet20,resnet32"), "--models takes two models"),
        (("--models", "resnet20,vit", *SMALL), "resnet20 has no attention"),
        (("--models", "vit,resnet20", "--sizes", "two"), "--sizes takes whole numbers"),
        (("--models", "vit,resnet20", "--sizes", "9", *SMALL), "no subset of 9 heads"),
        (("--models", "vit,resnet20", "--precision", "fp8", *SMALL), "unknown precision 'fp8'"),
        (("--models", "vit,resnet20", "--layer", "blocks.9", *SMALL), "'blocks.9'"),
    ],
)
def test_wrong_input_is_one_line(vitprobe_command, tmp_path, words, expected):
    ended = vitprobe_command("head-subsets", *words)
    assert ended.code == 2 and ended.out == ""
    assert len(ended.err.splitlines()) == 1, ended.err
    assert expected in ended.err
    assert not (tmp_path / "results").exists()


def test_the_underscore_is_no_name_of_the_command(vitprobe_command):
    assert "head-subsets" in vitprobe_command("--help").out
    ended = vitprobe_command("head_subsets", "--models", "vit,resnet20")
    assert ended.code == 2 and "did you mean 'head-subsets'" in ended.err


def test_bad_images_can_be_skipped(vitprobe_command, tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(20):
        Image.effect_noise((32, 32), 20 + i).convert("RGB").save(
            tmp_path / "images" / f"{i:02}.png"
        )
    (tmp_path / "images" / "07.png").write_bytes(b"not a picture")
    words = ("head-subsets", "--models", "vit,resnet20", "--dataset", "imagefolder:images")
    words += ("--image-size", 32, "--batch-size", 10, "--sizes", "1", "--layers", "layer1.0")
    ended = vitprobe_command(*words)
    assert ended.code == 2 and "--skip-bad-images" in ended.err
    ended = vitprobe_command(*words, "--skip-bad-images")
    assert ended.code == 0, ended.err
    assert "1 unreadable images were skipped" in ended.err and "used     19 examples" in ended.out
    with xarray.open_dataset(written(ended)[0], engine="h5netcdf") as read:
        assert read.attrs["examples"] == 19 and read["cka"].notnull().all()
