"""The figures of maps say what the result says: places, colours, scales."""

import numpy as np
import pytest
import xarray
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot
from vitprobe.figures.filters import filter_figure
from vitprobe.figures.maps import figure, shown_layers
from vitprobe.figures.positions import position_figure
from vitprobe.figures.tiles import bilinear, mosaic


def result(images=2, layers=5, heads=3, rows=4, columns=6, channels=3):
    numbers = np.random.default_rng(0)
    names = [f"blocks.{i}.attn" for i in range(layers)]
    similarity = numbers.uniform(-1, 1, (rows, columns, rows, columns))
    filters = numbers.normal(size=(10, channels, 4, 4))
    return xarray.Dataset(
        {
            "attention": (
                ("image", "layer", "head", "row", "col"),
                numbers.uniform(size=(images, layers, heads, rows, columns)),
            ),
            "rollout": (
                ("image", "layer", "row", "col"),
                numbers.uniform(size=(images, layers, rows, columns)),
            ),
            "picture": (
                ("image", "y", "x", "rgb"),
                numbers.integers(0, 256, (images, 16, 24, channels), dtype=np.uint8),
            ),
            "position_similarity": (("row", "col", "row2", "col2"), similarity),
            "filters": (("filter", "channel", "filter_row", "filter_col"), filters),
            "components": (
                ("component", "channel", "filter_row", "filter_col"),
                filters[:9] / 10,
            ),
            "component_variance": ("component", np.linspace(0.3, 0.01, 9)),
        },
        coords={"image": [f"picture {i}" for i in range(images)], "layer": names},
        attrs={
            "analysis": "maps",
            "model": "vit",
            "dataset": "digits",
            "layers": "all",
            "query": "class token",
            "prefix": 1,
        },
    )


def texts(drawn):
    return [text.get_text() for text in drawn.findobj(Text) if text.get_text()]


def overlays(drawn):
    """The maps in the order in which they were drawn, 0..1, at the picture's resolution."""
    return [axes.images[1].get_array() for axes in drawn.axes if len(axes.images) == 2]


def test_bilinear_is_exact_between_the_centres_and_flat_beyond():
    values = np.add.outer(np.arange(4.0), 10 * np.arange(3.0))
    y, x = (np.arange(8) + 0.5) / 2 - 0.5, (np.arange(12) + 0.5) / 4 - 0.5
    expected = np.add.outer(y.clip(0, 3), 10 * x.clip(0, 2))
    np.testing.assert_allclose(bilinear(values, 8, 12), expected)
    np.testing.assert_allclose(bilinear(values, 4, 3), values)


def test_mosaic_puts_patches_in_rows():
    patches = np.arange(3 * 4).reshape(3, 2, 2)
    whole = mosaic(patches, 2)
    assert whole.shape == (5, 5)
    np.testing.assert_array_equal(whole[:2, :2], patches[0])
    np.testing.assert_array_equal(whole[:2, 3:], patches[1])
    np.testing.assert_array_equal(whole[3:, :2], patches[2])
    assert np.isnan(whole[3:, 3:]).all() and np.isnan(whole[2]).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_first_middle_and_last_layer_then_the_rollout_of_all(channels):
    given = result(channels=channels)
    maps = overlays(figure(given, 1))
    expected = [*given["attention"].values[1, [0, 2, 4]].reshape(9, 4, 6)]
    expected += [*given["rollout"].values[1]]
    assert len(maps) == len(expected)
    for shown, values in zip(maps, expected, strict=True):
        np.testing.assert_allclose(shown, bilinear(values / values.max(), 16, 24))


def test_layers_asked_for_are_all_shown():
    assert shown_layers(12, True) == [0, 5, 11]
    assert shown_layers(1, True) == [0]
    assert shown_layers(4, False) == [0, 1, 2, 3]


def test_what_is_written():
    given = result()
    found = texts(figure(given, 1))
    assert "vit  ·  digits  ·  image picture 1" in found
    assert any("uniform attention is 0.04" in text for text in found)
    assert "blocks.2.attn: attention of the class token to the patches" in found
    assert f"max {given['attention'].values[1, 2, 1].max():.2g}" in found
    mean = figure(given.assign_attrs(query="mean over queries"))
    assert any("attention to the patches, mean over queries" in text for text in texts(mean))


def test_a_layer_with_fewer_heads_has_fewer_maps():
    given = result(heads=3)
    given["attention"][:, 0, 2] = np.nan
    assert len(overlays(figure(given))) == 3 * 3 - 1 + 5


def test_long_names_keep_what_tells_them_apart():
    names = [f"encoder.layers.encoder_layer_{i}.self_attention" for i in range(5)]
    found = texts(figure(result().assign_coords(layer=names)))
    assert [f"encoder_layer_{i}" in found for i in range(5)] == [True] * 5
    assert "blocks.3.attn" in texts(figure(result()))


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 16, 32), (12, 3, 12)])
def test_tiles_do_not_overlap(size):
    images, heads, layers = size
    drawn = plot(result(images=images, heads=heads, layers=layers))
    boxes = [axes.bbox for axes in drawn.axes if axes.images]
    for i, a in enumerate(boxes):
        assert a.x0 >= 0 and a.y0 >= 0
        for b in boxes[:i]:
            assert a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0


def test_each_patch_has_its_map_at_its_place():
    given = result()
    (shown,) = position_figure(given).axes[0].images
    whole = np.asarray(shown.get_array().filled(np.nan))
    for row, column in ((0, 0), (2, 5), (3, 1)):
        part = whole[5 * row : 5 * row + 4, 7 * column : 7 * column + 6]
        np.testing.assert_array_equal(part, given["position_similarity"].values[row, column])
    assert shown.get_clim() == (-1, 1)


def test_of_a_large_grid_every_second_patch_is_shown():
    drawn = position_figure(result(rows=20, columns=30))
    (shown,) = drawn.axes[0].images
    assert shown.get_array().shape == (10 * 21 - 1, 15 * 31 - 1)
    assert any("one map in 2 along each side" in text for text in texts(drawn))


@pytest.mark.parametrize("channels", [1, 3])
def test_components_have_their_colours_and_their_variance(channels):
    given = result(channels=channels)
    drawn = filter_figure(given)
    assert "30.0%" in texts(drawn) and "all 10 filters" in texts(drawn)
    component = given["components"].values[4]
    shown = drawn.axes[4].images[0].get_array()
    expected = 0.5 + 0.5 * component / np.abs(component).max()
    np.testing.assert_allclose(shown, np.broadcast_to(expected.transpose(1, 2, 0), (4, 4, 3)))


def test_what_is_missing_is_refused_with_the_reason():
    given = result().drop_vars(["position_similarity", "filters"])
    given = given.assign_attrs(no_position_similarity="it has none", no_filters="no convolution")
    with pytest.raises(InputError, match="it has none"):
        position_figure(given)
    with pytest.raises(InputError, match="no convolution"):
        filter_figure(given)
    with pytest.raises(InputError, match="no image 2"):
        figure(given, 2)
    with pytest.raises(InputError, match="no attention maps"):
        figure(given.drop_vars("attention"))
