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


@pytest.mark.parametrize("span", [0, 1e-3, 0.017, 0.1, 10, 1000])
@pytest.mark.parametrize("start", [0.5, 16.5])
def test_numbers_along_the_axes_do_not_touch(span, start):
    given = result(layers=1)
    given["distance"] = "subset", start + span * np.linspace(0, 1, 7)
    given["cka"][:] = 0.5 + min(span, 0.4) * given["cka"]
    given["cka_se"][:] = 0.01 * min(span, 0.4)
    drawn = plot(given)
    renderer, (width, _) = drawn.canvas.get_renderer(), drawn.bbox.size
    boxes = [
        [label.get_window_extent(renderer) for label in axes.get_xticklabels()]
        for axes in drawn.axes
        if axes.containers
    ]
    assert all(1 <= len(row) <= 7 for row in boxes) and (span == 0 or len(boxes[0]) >= 2)
    row = [box for row in boxes for box in row]  # two panels, side by side
    assert all(a.x1 < b.x0 for a, b in zip(row, row[1:], strict=False))
    assert row[0].x0 >= 0 and row[-1].x1 <= width
    height = drawn.bbox.height
    rises = [
        label.get_window_extent(renderer)
        for label in drawn.axes[0].get_yticklabels()
        if label.get_text()
    ]
    assert len(rises) >= 2 and rises[0].y0 >= 0 and rises[-1].y1 <= height
    assert all(a.y1 < b.y0 for a, b in zip(rises, rises[1:], strict=False))
    assert min(box.x0 for box in rises) >= 0 and min(box.y0 for box in row) >= 0
    ticks = [float(label.get_text()) for label in drawn.axes[0].get_xticklabels()]
    np.testing.assert_allclose(ticks, drawn.axes[0].get_xticks(), atol=1e-9 + 1e-6 * span)


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
