"""CKA against chance in its figure: dots where they belong, said above the map, legible."""

import numpy as np
import pytest
import xarray
from drawn import overlapping, texts
from matplotlib.lines import Line2D

from vitprobe.figures import plot
from vitprobe.figures.chance import counted, under_line

LABEL = "no more than chance (5 % line)"


def with_null(result, line=0.3):
    """The result with lines of about that height, the same every time."""
    random = np.random.default_rng(1)
    lines = line + 0.2 * random.random(result["cka"].shape)
    lines[result["cka"].isnull().values] = np.nan
    dims = result["cka"].dims
    return result.assign(null_line=(dims, lines)).assign_attrs(null_replicates=200, null_alpha=0.05)


def dots(figure):
    """((column, row), ...) of all dots in the map, and their colours."""
    found = {}
    for line in figure.axes[0].get_lines():
        for x, y in line.get_xydata():
            found[int(x), int(y)] = line.get_color()
    return found


@pytest.mark.parametrize("case", ["10x10", "30x55", "30x25 negative", "263x67"])
def test_a_dot_in_each_cell_under_its_line_and_in_no_other(cases, case):
    result = with_null(cases[case]())
    figure = plot(result)
    under = (result["cka"] <= result["null_line"]).values
    assert 0 < under.sum() < under.size
    assert dots(figure).keys() == {(column, row) for row, column in np.argwhere(under)}
    axes = figure.axes[0]
    assert axes.get_xlim() == (-0.5, under.shape[1] - 0.5)
    box = axes.get_window_extent()
    cell = min(box.width / under.shape[1], box.height / under.shape[0]) * 72 / figure.dpi
    for line in axes.get_lines():
        assert 0.2 * cell < line.get_markersize() < 0.7 * cell or line.get_markersize() == 4


def test_dots_are_seen_on_any_colour(cases):
    result = cases["10x10"]()
    values = np.tile(np.linspace(0, 1, 10), (10, 1))
    result = result.assign(cka=(result["cka"].dims, values))
    found = dots(plot(with_null(result, 2)))
    assert len(found) == 100
    assert all(found[column, 0] == "white" for column in range(5))
    assert all(found[column, 0] == "black" for column in range(8, 10))


@pytest.mark.parametrize("case", ["10x10", "30x25 negative", "1x12", "1x1", "300x300"])
def test_it_is_said_and_nothing_touches(cases, case):
    figure = plot(with_null(cases[case](), 2))
    said = [artist.get_text() for artist in texts(figure)[0]]
    assert said.count(LABEL) == 1
    blank = "no value (see blank_a / blank_b)"
    assert (blank in said) == bool(cases[case]()["cka"].isnull().any())
    legend = figure.axes[0].get_legend()
    assert any(isinstance(handle, Line2D) for handle in legend.findobj(Line2D))
    artists, boxes = texts(figure)
    width, height = figure.bbox.size
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= width).all() and (boxes[:, 3] <= height).all()
    assert not np.triu(overlapping(boxes, boxes), 1).any()


def test_how_many_are_above(cases):
    result = with_null(cases["10x10"]())
    above = int((result["cka"] > result["null_line"]).sum())
    found = "\n".join(artist.get_text() for artist in texts(plot(result))[0])
    assert f"{above} of 100 pairs above chance (200 permutations)" in found.replace("\n", " ")
    assert counted(result) == (above, 100)
    assert "all 100 pairs above chance" in " ".join(
        artist.get_text() for artist in texts(plot(with_null(result, -9)))[0]
    )


def test_of_a_model_with_itself_every_pair_is_counted_once(cases):
    result = with_null(cases["67x67"](), -9)
    assert result.attrs["model_a"] == result.attrs["model_b"]
    assert counted(result) == (67 * 66 // 2, 67 * 66 // 2)
    part = result.isel(layer_b=slice(3, 5))
    assert counted(part) == (2 * 66, 2 * 66)


def test_blanks_are_no_pairs(cases):
    result = with_null(cases["30x25 negative"](), -9)
    assert counted(result) == (28 * 25, 28 * 25)
    assert not under_line(result).any()


def test_without_a_null_nothing_is_marked_or_said(cases):
    figure = plot(cases["10x10"]())
    assert not dots(figure)
    said = " ".join(artist.get_text() for artist in texts(figure)[0])
    assert "chance" not in said


def test_the_order_of_dimensions_does_not_matter(cases):
    result = with_null(cases["30x55"]())
    turned = xarray.Dataset(
        {name: result[name].T for name in ("cka", "null_line")}, attrs=result.attrs
    ).assign_coords(result.coords)
    assert dots(plot(turned)) == dots(plot(result))
