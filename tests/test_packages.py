"""Packages that a machine may lack: what does not use them works, what does says which."""

import pytest
from children import ended

from vitprobe.errors import InputError
from vitprobe.packages import package

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("vit_pytorch", "einops", "h5netcdf", "h5py"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""
ANALYSIS = """
import torch
from vitprobe.analyses.cka import cka
from vitprobe.models import build_model

result = cka("vit@digits", "resnet20@digits", torch.randn(8, 3, 32, 32))
print(result.sizes["layer_a"] > 10 and bool(result["cka"].notnull().any()))
"""
COMMAND = """
from vitprobe.cli import main
sys.argv = ["vitprobe", *sys.argv[1:]]
main()
"""


def test_an_analysis_runs_without_them():
    code, out, err = ended(WITHOUT + ANALYSIS)
    assert (code, out.split()[-1:]) == (0, ["True"]), err


def test_info_runs_without_them():
    code, out, err = ended(WITHOUT + COMMAND, "info")
    assert code == 0 and "cpu kernels" in out, err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["layers", "vit-small-data"], "vit-small-data: needs the library vit_pytorch"),
        (["layers", "vit-zhu2023"], "vit-zhu2023: needs the library einops"),
        (["cka", "--models", "vit,resnet20"], "results (.nc files): needs the library h5netcdf"),
        (["plot", "a.nc"], "a.nc: needs the library h5py"),
    ],
)
def test_where_one_is_used_its_absence_is_one_line(words, says, tmp_path):
    (tmp_path / "a.nc").write_bytes(b"")
    code, out, err = ended(WITHOUT + COMMAND, *words, cwd=tmp_path)
    assert code != 0 and says in err and "pip install" in err, (out, err)
    assert len(err.splitlines()) == 1 and [p.name for p in tmp_path.iterdir()] == ["a.nc"]


def test_what_is_there_is_imported():
    assert package("json.decoder", "x", "x").JSONDecoder
    with pytest.raises(
        InputError, match=r"^a thing: needs the library nowhere.at_all .*pip install it$"
    ):
        package("nowhere.at_all", "a thing", "it")
