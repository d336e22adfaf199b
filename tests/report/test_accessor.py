"""What a result shows of itself: `result.vitprobe`."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure

import vitprobe
from vitprobe.errors import InputError


@pytest.fixture(scope="module")
def cka():
    return vitprobe.cka(
        "vit@digits", "resnet20@digits", examples=64, layers="blocks", batch_size=16
    )


def test_any_dataset_has_it_however_it_came_there():
    """Also one of a file, where xarray was imported before vitprobe, and nothing was used of it."""
    code = "import xarray, vitprobe; print(xarray.Dataset(attrs={'analysis': 'x'}).vitprobe)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert found.stdout.startswith("<vitprobe: a result of x"), found.stderr


def test_of_something_else_it_says_so():
    assert callable(vitprobe.plot)  # whatever is used first registers it
    with pytest.raises(InputError, match="no result of vitprobe"):
        xr.Dataset().vitprobe.plot()


def test_plot_and_page(cka):
    assert isinstance(cka.vitprobe.plot(title="mine"), Figure)
    shown = cka.vitprobe._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and shown.count("<iframe") == 1
    assert cka.vitprobe.page(title="mine").title == "mine"


def test_best_matches_are_those_of_match_layers(cka):
    table, found = cka.vitprobe.best_matches(), vitprobe.match_layers(cka)
    assert len(table) == cka.sizes["layer_a"] + cka.sizes["layer_b"]
    of_a = table[table["model"] == "vit@digits"]
    assert of_a["match"].tolist() == found["match_a"].values.tolist()
    np.testing.assert_array_equal(of_a["cka"], found["cka_a"].values)
    np.testing.assert_array_equal(of_a["alike"], found["alike_a"].sum("layer_b").values)
    wider = cka.vitprobe.best_matches(level=0.99)
    assert ((wider["high"] - wider["low"]) > (table["high"] - table["low"])).all()


def test_to_pandas_has_every_pair_once(cka):
    table = cka.vitprobe.to_pandas()
    assert list(table.columns[:5]) == ["layer_a", "layer_b", "cka", "cka_se", "hsic"]
    assert len(table) == cka["cka"].size
    row = table[(table["layer_a"] == "blocks.3") & (table["layer_b"] == "layer2.1")].iloc[0]
    at = {"layer_a": "blocks.3", "layer_b": "layer2.1"}
    assert row["cka"] == cka["cka"].sel(at).item()
    assert row["block_a"] == "blocks.3"
    assert row["type_b"] == cka["type_b"].sel(layer_b="layer2.1").item()


def test_to_pandas_of_other_results():
    dims = ("layer", "head")
    result = xr.Dataset(
        {"distance": (dims, [[1.0, 2.0]]), "mass": (dims, [[3.0, 4.0]]), "why": ("other", ["x"])},
        {"layer": ["blocks.0"], "depth": ("layer", [0.5])},
        {"analysis": "attention"},
    )
    expected = pd.DataFrame(
        {
            "layer": ["blocks.0"] * 2,
            "head": [0, 1],
            "distance": [1.0, 2.0],
            "mass": [3.0, 4.0],
            "depth": [0.5] * 2,
        }
    )
    pd.testing.assert_frame_equal(result.vitprobe.to_pandas(), expected, check_dtype=False)


def test_to_latex(cka):
    text = cka.vitprobe.to_latex(label="tab:cka")
    assert text.startswith("\\begin{table}") and "\\label{tab:cka}" in text
    assert (
        "\\caption{Similarity of layers (CKA): vit@digits, resnet20@digits on digits test}" in text
    )
    best = cka.vitprobe.best_matches().iloc[0]
    places = max(0, 1 - int(np.floor(np.log10(best["cka_se"]))))
    number = f"${best['cka']:.{places}f} \\pm {best['cka_se']:.{places}f}$"
    assert f"vit@digits & {best['layer']} & {best['match']} & {number} \\\\" in text
    rows = re.findall(r"\\midrule\n(.*)\n    \\bottomrule", text, re.DOTALL)[0].splitlines()
    assert len(rows) == cka.sizes["layer_a"] + cka.sizes["layer_b"]
    assert len({row.count(" & ") for row in rows}) == 1


def test_to_latex_escapes_names():
    result = xr.Dataset(
        {"value": ("layer", [0.5, np.nan]), "value_se": ("layer", [0.01, np.nan])},
        {"layer": ["a_b&{c}", "50%$x^2~\\"]},
        {"analysis": "made_up", "model": "m"},
    )
    text = result.vitprobe.to_latex()
    assert r"a\_b\&\{c\} & $0.500 \pm 0.010$ \\" in text
    assert r"50\%\$x\textasciicircum{}2\textasciitilde{}\textbackslash{} & -- \\" in text
