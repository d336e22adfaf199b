"""Damaged results: read as a result or refused in one line, and drawn or refused in one line."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from attention_results import vit
from fuzz.harness import Case, fuzzed, main

from vitprobe.analyses.load_result import load_result
from vitprobe.cli._output import netcdf
from vitprobe.errors import InputError
from vitprobe.figures import plot

COUNT = 150
DIMS = ("layer_a", "layer_b")


def cka():
    values = np.linspace(0, 1, 12).reshape(3, 4)
    names = {"layer_a": list("abc"), "layer_b": list("wxyz")}
    attrs = {"analysis": "cka", "model_a": "vit", "model_b": "resnet18", "examples": 64}
    return xr.Dataset({"cka": (DIMS, values), "cka_se": (DIMS, values / 9)}, names, attrs)


CASES = {"results": Case("r.nc", lambda: [netcdf(cka()), netcdf(vit(3, 2))], load_result)}


def test_damaged_files(tmp_path: Path):
    ends = fuzzed(__file__, "results", tmp_path, COUNT)
    assert ends["refused"] > COUNT / 10 and ends["read"]


ODD = (np.array([1, 2]), np.array([]), float("nan"), float("inf"), "", "many", b"\xff", ["a"], -3)


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("key", ["examples", "passes"])
def test_attributes_of_a_wrong_kind(key, value):
    ended_well(cka().assign_attrs({key: value}))


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("key", ["model_image_size", "model_weights"])
def test_attributes_of_a_wrong_kind_of_attention(key, value):
    ended_well(vit(1, 1).assign_attrs({key: value}))


@pytest.mark.parametrize("name", ["distance", "entropy_se"])
def test_values_of_a_wrong_kind(name):
    held = vit(2, 2)
    ended_well(held.assign({name: held[name].astype(str)}))


@pytest.mark.parametrize("name", ["cka", "cka_se"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300, "x"])
def test_values_beyond_all_reason(name, value):
    ended_well(cka().assign({name: (DIMS, np.full((3, 4), value))}))


@pytest.mark.parametrize("name", ["distance_se", "entropy", "distance_uniform", "patch_width"])
def test_values_of_a_wrong_shape(name):
    held = vit(2, 2)
    ended_well(held.drop_vars(name).assign({name: held[name].isel(layer=0, drop=True)}))


def test_control_characters_are_seen():
    figure = plot(cka().assign_attrs(model_a="a\x1b[2Jb\n", dataset="c\u202ed"))
    assert figure.axes[0].get_ylabel() == r"a\x1b[2Jb\n"
    assert any(r"c\u202ed" in text.get_text() for text in figure.axes[0].texts)
    layers = cka().assign_coords(layer_a=["a\x07", "b", "c"])
    assert plot(layers).axes[0].get_yticklabels()[0].get_text() == r"a\x07"


def ended_well(result):
    """Drawn, or refused in one line."""
    try:
        width, height = plot(result).get_size_inches()
    except InputError as error:
        assert str(error).startswith("cannot plot this result: ") and "\n" not in str(error)
    else:
        assert 0 < width < 20 and 0 < height < 20


if __name__ == "__main__":
    main(CASES)
