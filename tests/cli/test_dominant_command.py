"""`vitprobe dominant`: the files written, what is said, and wrong input in one line."""

import pytest
import xarray
from PIL import Image

SMALL = ("--examples", 48, "--batch-size", 16)


def written(ended):
    lines = ended.out.splitlines()
    return [line.split()[-1] for line in lines if line.startswith("wrote")]


@pytest.mark.drawn
def test_files(vitprobe_command, tmp_path):
    ended = vitprobe_command("dominant", "--model", "resnet20@digits", *SMALL, "--drop", 0.2)
    assert ended.code == 0, ended.err
    result, figure = written(ended)
    assert "10 layers" in ended.out and "left out 12 of 48 examples" in ended.out
    with xarray.open_dataset(result, engine="h5netcdf") as read:
        assert read.sizes["rank"] == 16 and read.sizes["layer"] == 10
        assert read["cka"].notnull().all() and read["cka_without_se"].notnull().all()
        assert read["thumbnail"].dtype == "uint8"
        assert (read.attrs["drop"], read.attrs["examples"]) == (0.2, 48)
        first = int(read["examples"][0])
    assert f"highest  {first} (" in ended.out
    with Image.open(figure) as image:
        assert min(image.size) > 600
    ended = vitprobe_command("plot", result, "--title", "mine", "--layers", "layer1.*")
    assert ended.code == 0, ended.err


def test_several_models_and_layers(vitprobe_command):
    words = ("--models", "vit,resnet20", "--layers", "all", "--top", 3)
    ended = vitprobe_command("dominant", *words, *SMALL)
    assert ended.code == 0, ended.err
    results = [path for path in written(ended) if path.endswith(".nc")]
    assert len(results) == 2 and "(39 of" not in ended.out
    for path in results:
        with xarray.open_dataset(path, engine="h5netcdf") as read:
            assert read.sizes["rank"] == 3 and read.sizes["layer"] > 40
            assert read["first_share"].notnull().all()


def test_shares_merge(vitprobe_command):
    words = ("dominant", "--model", "vit@digits", *SMALL)
    whole = vitprobe_command(*words, "--name", "whole")
    parts = []
    for share in ("1/2", "2/2"):
        ended = vitprobe_command(*words, "--shard", share)
        assert ended.code == 0, ended.err
        parts.append(ended.out.split(" is in ")[1].split()[0])
    ended = vitprobe_command("merge", *parts, "--name", "both")
    assert ended.code == 0, ended.err
    read = [xarray.load_dataset(written(each)[0], engine="h5netcdf") for each in (whole, ended)]
    for name in ("examples", "score", "thumbnail", "layer_example"):
        assert read[0][name].identical(read[1][name]), name
    xarray.testing.assert_allclose(read[0]["cka_without"], read[1]["cka_without"], rtol=1e-12)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--model", "vit", "--drop", 0.7), "--drop is a share of each batch, 0 to 0.5, not 0.7"),
        (("--model", "vit", "--drop", "much"), "--drop"),
        (("--model", "vit", "--top", 0), "--top is a number of examples, 1 or more, not 0"),
        (("--model", "vit", "--layers", "block", *SMALL), "no layer matches 'block'"),
        (("--model", "vitt", *SMALL), "vitt"),
        (("--model", "vit", "--examples", 7), "8 examples or more"),
    ],
)
def test_wrong_input_is_one_line(vitprobe_command, words, expected):
    ended = vitprobe_command("dominant", *words)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1, ended.err
    assert expected in ended.err
