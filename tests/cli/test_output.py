"""File names of results, and writing all of them or none."""

import pytest
import xarray as xr

from vitprobe.cli._output import check_folder, save, stem
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
    ],
)
def test_names(spec, name):
    assert stem(result(spec)) == name


def test_models_of_one_name_get_numbers(tmp_path):
    pair = [result("vit@a/last.pt"), result("vit@b/last.pt")]
    paths = save(pair, tmp_path / "new", {".txt": lambda r, p: p.write_text(r.attrs["model_a"])})
    assert [path.name for path in paths] == ["cka-vit@last-vit-1.txt", "cka-vit@last-vit-2.txt"]
    assert [path.read_text() for path in paths] == ["vit@a/last.pt", "vit@b/last.pt"]
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_all_or_nothing(tmp_path):
    def fails(dataset, path):
        raise OSError(28, "No space left on device")

    writers = {".txt": lambda _, path: path.write_text("x"), ".png": fails}
    with pytest.raises(InputError, match="No space left on device"):
        save([result("vit")], tmp_path, writers)
    assert not list(tmp_path.iterdir())


def test_checking_a_folder_does_not_make_it(tmp_path):
    assert check_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write to --output"):
        check_folder(str(tmp_path / "file"))
    with pytest.raises(InputError, match="--output is empty"):
        check_folder("")
