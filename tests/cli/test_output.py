"""File names of results, and what becomes of results that have no place."""

import os
from pathlib import Path

import pytest
import xarray as xr

from vitprobe.cli._output import file_names, netcdf, save, stem, stem_of
from vitprobe.errors import InputError


def result(a, b="vit"):
    return xr.Dataset(attrs={"analysis": "cka", "model_a": a, "model_b": b})


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("vit", "cka-vit-vit"),
        ("resnet20@../weights/a-1.2.th", "cka-resnet20@a-1.2-vit"),
        ("torchvision:vit_b_16@pretrained", "cka-torchvision_vit_b_16@pretrained-vit"),
        ("my.models:net", "cka-my.models_net-vit"),
        ("VisionTransformer (1)", "cka-VisionTransformer_1_-vit"),
        ("vit@a\x1b]0;owned\x07\nb\u202e.pt", "cka-vit@a_0_owned_b_-vit"),
    ],
)
def test_names(spec, name):
    assert stem_of(result(spec)) == stem("cka", [spec, "vit"]) == name


def test_long_names_are_shortened_and_stay_apart():
    long = "vit@" + "図" * 200
    names = file_names([stem("cka", [long, f"{long}{i}"]) for i in range(2)], [".nc", ".png"])
    assert len(set(names)) == 4
    for name in names:
        assert name.startswith("cka-vit@図図") and len(os.fsencode(name)) < 170
    assert names[0].removesuffix(".nc") == names[1].removesuffix(".png")
    of_image = file_names([stem("maps", ["vit"])], [f"-image-{'x' * 300}.a.png"])[0]
    assert of_image.startswith("maps-vit-image-xx") and of_image.endswith(".png")
    assert len(of_image) < 170


def test_models_of_one_name_get_numbers(tmp_path):
    pair = [result("vit@a/last.pt"), result("vit@b/last.pt")]
    paths = save(pair, tmp_path / "new", {".txt": lambda r: r.attrs["model_a"].encode()})
    assert [path.name for path in paths] == ["cka-vit@last-vit-1.txt", "cka-vit@last-vit-2.txt"]
    assert [path.read_text() for path in paths] == ["vit@a/last.pt", "vit@b/last.pt"]
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_one_file_of_all(tmp_path):
    pair = [result("vit"), result("resnet20")]
    paths = save(pair, tmp_path, {".txt": lambda _: b"x"}, {".png": lambda: b"y"})
    assert paths[-1] == tmp_path / "cka-vit-vit-resnet20-vit.png"
    assert paths[-1].read_bytes() == b"y"


def test_netcdf_in_memory_is_the_file(tmp_path):
    data = xr.Dataset({"cka": ("layer", [0.5, float("nan")])}, {"layer": ["a", "é"]}, {"n": "x"})
    (tmp_path / "a.nc").write_bytes(netcdf(data))
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as held:
        assert held.identical(data)


def test_results_that_have_no_place_are_put_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "results").write_text("in the way")
    with pytest.raises(InputError, match="cannot write to .*results: .*results are in") as raised:
        save([result("vit")], tmp_path / "results", {".txt": lambda _: b"x"})
    folder = Path(str(raised.value).split("results are in ")[1].removesuffix(" instead"))
    assert (folder / "cka-vit-vit.txt").read_bytes() == b"x"
