"""The page of all analyses: what is drawn of what there is."""

import numpy as np
import xarray as xr
from matplotlib.colors import to_rgb

from vitprobe.figures.paper_overview import overview


def cka():
    values = (("layer_a", "layer_b"), np.full((2, 3), 0.5))
    return xr.Dataset({"cka": values}, attrs={"model_a": "vit", "model_b": "a" * 60})


def skips(model, ratio):
    ratio = np.array(ratio, float)[:, None]
    return xr.Dataset(
        {"ratio": (("layer", "group"), ratio), "ratio_se": (("layer", "group"), ratio / 10)},
        {"group": ["patches"]},
        {"model": model},
    )


def field(model, radii):
    errors = np.full(len(radii), np.nan)  # one image
    return xr.Dataset(
        {"r50": ("layer", radii), "r50_se": ("layer", errors)}, attrs={"model": model}
    )


def place(model, share):
    return xr.Dataset({"own_place": share, "own_place_chance": 0.1}, attrs={"model": model})


def test_a_panel_for_each_analysis_and_a_colour_for_each_model():
    figure = overview(
        {
            "cka": [cka()],
            "skips": [skips("vit", [2, 8]), skips("cnn", [1, np.nan, 2])],
            "receptive_field": [field("cnn", [1.0, 4.0])],
            "localization": [place("vit", 0.5), place("cnn", 0.25)],
            "maps": [cka()],
        }
    )
    similarity, ratios, radii, places, legend = figure.axes
    assert [text.get_text() for text in legend.get_legend().get_texts()] == ["vit", "cnn"]
    assert similarity.images[0].get_array().shape == (2, 3)
    assert similarity.get_ylabel() == "vit" and len(similarity.get_xlabel()) == 34
    lines = [bars.lines[0] for bars in ratios.containers]
    assert [line.get_xdata().tolist() for line in lines] == [[0, 1], [0, 1]]  # blanks are left out
    assert [line.get_ydata().tolist() for line in lines] == [[2, 8], [1, 2]]
    (line,) = [bars.lines[0] for bars in radii.containers]
    assert line.get_color() == lines[1].get_color() != lines[0].get_color()
    assert [bar.get_height() for bar in places.patches] == [50, 25]
    assert to_rgb(places.patches[1].get_facecolor()) == to_rgb(line.get_color())


def test_nothing_to_draw():
    assert overview({}) is None and overview({"maps": [cka()]}) is None
