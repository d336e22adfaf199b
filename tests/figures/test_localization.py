"""The figure of localisation: a tile for each token at its place, own places, blanks, one scale."""

import numpy as np
import pytest
import xarray
from matplotlib.colors import to_hex
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot
from vitprobe.figures.localization import MARK, MOST, evenly


def result(rows=3, columns=4, cls=True, **attrs):
    shape = (rows, columns, rows, columns)
    random = np.random.default_rng(0)
    patches, tokens = ("row", "col"), ("token_row", "token_col")
    variables = {"cka": ((*tokens, *patches), random.uniform(-0.05, 0.5, shape))}
    variables["cka"][1][-1, -1, -1, -1] = 0.6
    if cls:
        variables["cka_cls"] = (patches, random.uniform(0, 0.3, (rows, columns)))
    numbers = {"own_place": 0.25, "mean_distance": 1.5}
    variables |= numbers | {f"{name}_chance": 0.083 for name in numbers}
    empty = np.full((rows, columns), "", dtype=object)
    coordinates = {"blank_token": (tokens, empty), "blank_patch": (patches, empty.copy())}
    for dim, count in zip((*tokens, *patches), shape, strict=True):
        coordinates[dim] = np.arange(count)
    attrs = {
        "analysis": "localization",
        "model": "vit",
        "layer": "blocks.5",
        "patch_height": 8.0,
        "patch_width": 8.0,
        "dataset": "digits",
        "examples": 1360,
        **attrs,
    }
    return xarray.Dataset(variables, coordinates, attrs)


def tiles(figure):
    """For each group of tiles its images by place (inches from the upper left: row, column)."""
    return [axes for axes in figure.axes if len(axes.get_images()) > 1]


def marks(axes):
    edge = to_hex(MARK["edgecolor"])
    return [patch for patch in axes.patches if to_hex(patch.get_edgecolor()) == edge]


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_every_token_has_its_map_at_its_place():
    given = result()
    (axes,) = tiles(plot(given))
    images = axes.get_images()
    assert len(images) == 12 and len({image.norm.vmax for image in images}) == 1
    corners = [(image.get_extent()[0], image.get_extent()[3]) for image in images]
    across, down = (sorted(set(np.round(side, 6))) for side in zip(*corners, strict=True))
    assert (len(across), len(down)) == (4, 3)
    for image, (x, y) in zip(images, corners, strict=True):
        row, col = down.index(round(y, 6)), across.index(round(x, 6))
        np.testing.assert_array_equal(image.get_array(), given["cka"].values[row, col])
        assert image.norm.vmin == 0 and image.norm.vmax == pytest.approx(0.6)
        left, right, low, top = image.get_extent()
        (own,) = [m for m in marks(axes) if left < m.get_x() + m.get_width() / 2 < right
                  and top < m.get_y() + m.get_height() / 2 < low]  # fmt: skip
        centre = (own.get_x() + own.get_width() / 2, own.get_y() + own.get_height() / 2)
        assert centre[0] == pytest.approx(left + (right - left) * (col + 0.5) / 4)
        assert centre[1] == pytest.approx(top + (low - top) * (row + 0.5) / 3)
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "rows go downwards"


def test_the_class_token_has_a_map_in_the_same_scale():
    given = result()
    figure = plot(given)
    (own,) = [axes for axes in figure.axes if len(axes.get_images()) == 1]
    np.testing.assert_array_equal(own.get_images()[0].get_array(), given["cka_cls"])
    assert own.get_images()[0].norm.vmax == pytest.approx(0.6)
    assert "class token" in texts(figure)
    assert "class token" not in texts(plot(result(cls=False)))


def test_what_is_written():
    said = texts(plot(result()))
    assert any("vit" in text and "own patch most similar for 25 % of tokens" in text
               and "mean distance 1.5 patches" in text for text in said)  # fmt: skip
    details = " ".join(said)
    for words in ("1,360 examples", "output of blocks.5", "3 x 4 patches of 8 x 8 px", "8.3 %"):
        assert words in details
    assert "a title of mine" in texts(plot(result(), title="a title of mine"))


def test_blanks_are_hatched_and_told():
    given = result()
    assert not any("blank" in text for text in texts(plot(given)))
    given["cka"][:, :, 0, 0] = np.nan
    given["cka"][1, 1] = np.nan
    figure = plot(given)
    (axes,) = tiles(figure)
    assert any("blank" in text for text in texts(figure))
    hidden = [np.ma.getmaskarray(image.get_array()).sum() for image in axes.get_images()]
    assert sorted(hidden) == [1] * 11 + [12]
    assert sum(bool(patch.get_hatch()) for patch in axes.patches) == 12
    behind = min(image.get_zorder() for image in axes.get_images())
    assert all(patch.get_zorder() < behind for patch in axes.patches if patch.get_hatch())


def test_no_value_at_all():
    given = result()
    given["cka"][:] = np.nan
    given["cka_cls"][:] = np.nan
    given["own_place"] = np.nan
    assert any("no token's own patch has a value" in text for text in texts(plot(given)))


def test_tokens_that_were_not_asked_for_have_no_tile():
    given = result().isel(token_row=[0, 2], token_col=[1, 3])
    given["blank_token"][0, 1] = given["blank_token"][1, 0] = "not asked for"
    given["cka"][0, 1] = given["cka"][1, 0] = np.nan
    figure = plot(given)
    (axes,) = tiles(figure)
    assert len(axes.get_images()) == len(marks(axes)) == 2
    assert {"0", "2", "1", "3"} <= set(texts(figure))
    assert not any("blank" in text for text in texts(figure))


@pytest.mark.parametrize("rows", [14, 37])
def test_of_large_grids_evenly_spread_tokens_are_shown(rows):
    figure = plot(result(rows, rows))
    (axes,) = tiles(figure)
    assert len(axes.get_images()) == MOST**2
    assert any(f"{MOST**2} of {rows**2} tokens" in text for text in texts(figure))
    assert evenly(rows, MOST)[0] == 0 and evenly(rows, MOST)[-1] == rows - 1
    assert np.ptp(np.diff(evenly(rows, MOST))) <= 1
    least = min(mark.get_width() for mark in marks(axes))
    assert least * 72 >= 2.9, "own places can be seen"
    assert figure.get_size_inches().max() < 7.5


@pytest.mark.parametrize("shape", [(2, 2), (1, 12), (12, 2), (8, 8), (37, 37)])
@pytest.mark.parametrize("model", ["vit", "model_of_a_long_name@runs/2024/some weights.pt" * 4])
def test_nothing_is_cut_off_or_on_top_of_anything(shape, model):
    figure = plot(result(*shape, model=model, model_weights="random"))
    renderer, (width, height) = figure.canvas.get_renderer(), figure.bbox.size
    written = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [text.get_window_extent(renderer) for text in written]
    for text, box in zip(written, boxes, strict=True):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text
        assert text.get_fontsize() >= 6.5
    for k, (text, box) in enumerate(zip(written, boxes, strict=True)):
        for other, there in zip(written[:k], boxes, strict=False):
            assert not _touch(box, there), (text.get_text(), other.get_text())
    assert figure.get_size_inches()[0] < 7.2


def _touch(one, other, slack=1.0):
    return (
        min(one.x1, other.x1) - max(one.x0, other.x0) > slack
        and min(one.y1, other.y1) - max(one.y0, other.y0) > slack
    )


@pytest.mark.parametrize("count", [2, 3, 5])
def test_several_models_share_one_scale(count):
    given = [result(8, 8, model=f"model{k}") for k in range(count)]
    given[0]["cka"][0, 0, 0, 0] = 0.9
    figure = plot(*given)
    groups = tiles(figure)
    assert len(groups) == count and {len(group.get_images()) for group in groups} == {25}
    assert {image.norm.vmax for group in groups for image in group.get_images()} == {0.9}
    said = texts(figure)
    assert {f"model{k}" for k in range(count)} <= set(said)
    assert sum("own patch most similar" in text for text in said) == count
    assert figure.get_size_inches()[0] < 7.5
    assert "mine" in texts(plot(*given, title="mine"))


def test_models_of_other_grids_and_long_names():
    given = [result(8, 8, model="a" * 90), result(2, 7, model="b" * 90, patch_height=3.0)]
    figure = plot(*given)
    assert [len(axes.get_images()) for axes in tiles(figure)] == [25, 10]
    assert figure.get_size_inches()[0] < 7.5


def test_other_results_are_refused():
    with pytest.raises(InputError, match="no 'cka' over tokens and patches"):
        plot(result().drop_vars("cka"))
    with pytest.raises(InputError, match="no 'cka' over tokens and patches"):
        plot(result(), result().isel(token_row=[]))
