"""The figure of head subsets: a panel for each size, a line for each layer, bars, blanks."""

import numpy as np
import pytest
import xarray
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot


def result(layers=3):
    numbers = np.random.default_rng(0)
    sizes = [1, 1, 1, 1, 2, 2, 2]
    return xarray.Dataset(
        {
            "cka": (("subset", "layer"), numbers.uniform(size=(7, layers))),
            "cka_se": (("subset", "layer"), numbers.uniform(0.01, 0.02, (7, layers))),
            "distance": ("subset", [10.0, 12, 15, 20, 11, 13.5, 17.5]),
        },
        coords={"size": ("subset", sizes), "layer": [f"layer{i}_$x$" for i in range(layers)]},
        attrs={
            "analysis": "head_subsets",
            "model_a": "vit",
            "model_b": "resnet18",
            "layer_a": "blocks.0.attn",
            "dataset": "digits",
            "examples": 1360,
        },
    )


def lines(axes):
    return [container.lines[0].get_xydata() for container in axes.containers]


def test_every_panel_has_every_layers_line():
    given = result()
    one, two = [axes for axes in plot(given).axes if axes.containers]
    for axes, rows in ((one, slice(0, 4)), (two, slice(4, 7))):
        for layer, line in enumerate(lines(axes)):
            np.testing.assert_array_equal(line[:, 0], given["distance"].values[rows])
            np.testing.assert_array_equal(line[:, 1], given["cka"].values[rows, layer])
        assert len(lines(axes)) == 3
    assert (one.get_title(), two.get_title()) == ("1 head", "2 heads")
    assert one.get_ylim() == two.get_ylim() and one.get_xlim() == two.get_xlim()


def test_bars_are_standard_errors():
    given = result(layers=1)
    axes = next(axes for axes in plot(given).axes if axes.containers)
    (bars,) = axes.containers[0].lines[2]
    spans = np.array([segment[:, 1] for segment in bars.get_segments()])
    half = np.diff(spans, axis=1)[:, 0] / 2
    np.testing.assert_allclose(half, given["cka_se"].values[:4, 0], rtol=1e-9)


def test_what_is_written():
    found = [text.get_text() for text in plot(result()).findobj(Text)]
    assert "heads of vit blocks.0.attn, from local to global" in found
    assert any("1,360 examples" in text for text in found)
    assert {"resnet18", "layer0_$x$", "layer2_$x$"} <= set(found)


def test_long_names_in_the_legend_are_shortened_and_stay_distinct():
    given = result()
    names = [f"backbone.stages.2.blocks.{i}.attention.{'output_' * 4}projection" for i in range(3)]
    drawn = plot(given.assign_coords(layer=names).assign_attrs(model_b="package.models:" * 9))
    assert drawn.get_size_inches()[0] < 9
    found = {text.get_text() for text in drawn.findobj(Text)}
    shown = [text for text in found if text.endswith("output_projection")]
    assert sorted(text[:3] for text in shown) == ["…0…", "…1…", "…2…"]


def test_blanks_and_missing_error_bars_are_drawn_without():
    given = result()
    given["cka"][1] = np.nan
    given["cka_se"][:] = np.nan
    line = lines(next(axes for axes in plot(given).axes if axes.containers))[0]
    assert np.isnan(line[1, 1]) and np.isfinite(line[[0, 2, 3], 1]).all()


def test_another_result_is_refused():
    with pytest.raises(InputError, match="no 'cka' over subset and layer"):
        plot(result().drop_vars("cka"))
