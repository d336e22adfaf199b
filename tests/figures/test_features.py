"""The figure of feature maps says what the result says: which channels, and from what to what."""

import numpy as np
import pytest
import xarray
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot
from vitprobe.figures.features import figure, shown_layers, value_range
from vitprobe.figures.filters import filter_figure


def result(images=2, layers=3, ranks=4, size=(16, 24), channels=3):
    numbers = np.random.default_rng(0)
    rows = [max(1, 8 >> layer // 2) for layer in range(layers)]
    cols = [max(1, 12 >> layer // 2) for layer in range(layers)]
    mean = numbers.normal(size=(images, layers, rows[0], cols[0]))
    maps = numbers.normal(size=(images, layers, ranks, rows[0], cols[0])).astype(np.float32)
    for layer in range(layers):
        for values in (mean[:, layer], maps[:, layer]):
            values[..., rows[layer] :, :] = np.nan
            values[..., cols[layer] :] = np.nan
    which = np.argsort(numbers.random((images, layers, 40)))[..., :ranks] + 100
    picture = numbers.integers(0, 256, (images, *size, channels), dtype=np.uint8)
    return xarray.Dataset(
        {
            "channel_mean": (("image", "layer", "row", "col"), mean),
            "top": (("image", "layer", "rank", "row", "col"), maps),
            "top_channel": (("image", "layer", "rank"), which),
            "picture": (("image", "y", "x", "rgb"), picture),
            "filters": (
                ("filter", "channel", "filter_row", "filter_col"),
                numbers.normal(size=(10, 3, 4, 4)),
            ),
        },
        coords={
            "image": [f"picture {i}" for i in range(images)],
            "layer": [f"stages.{layer}" for layer in range(layers)],
            "channels": ("layer", [1000 + layer for layer in range(layers)]),
            "rows": ("layer", rows),
            "cols": ("layer", cols),
            "blank": ("layer", [""] * layers),
        },
        attrs={
            "analysis": "features",
            "model": "resnet20",
            "dataset": "digits",
            "filters_of": "conv1",
        },
    )


def texts(drawn):
    return [text.get_text() for text in drawn.findobj(Text) if text.get_text()]


def maps(drawn):
    """The images of the feature maps, in the order in which they were drawn."""
    return [axes.images[0] for axes in drawn.axes if axes.images][2:]


def test_each_layer_has_its_mean_and_its_channels_as_they_are():
    given = result()
    shown = maps(figure(given, 1))
    assert len(shown) == 3 * (1 + 4)
    for place, image in enumerate(shown):
        layer, rank = divmod(place, 5)
        one = given.isel(image=1, layer=layer)
        values = one["top"].values[rank - 1] if rank else one["channel_mean"].values
        values = values[: one["rows"].item(), : one["cols"].item()]
        np.testing.assert_array_equal(image.get_array(), values)
        np.testing.assert_allclose(image.get_clim(), (values.min(), values.max()))


def test_what_is_written():
    given = result()
    found = texts(figure(given, 1))
    assert "resnet20  ·  digits  ·  image picture 1" in found
    for layer in range(3):
        assert f"stages.{layer}" in found
        assert f"channel {given['top_channel'].values[1, layer, 0]}" in found
    assert found.count("mean") == 3
    assert "1,000 ch, 8 x 12" in found and "1,002 ch, 4 x 6" in found
    values = given["channel_mean"].values[1, 0]
    assert value_range(values.min(), values.max(), lambda text: True) in found
    assert "another" in texts(figure(given, title="another"))


def test_a_layer_with_fewer_channels_has_fewer_maps():
    given = result()
    given["top_channel"][:, 1, 2:] = -1
    assert len(maps(figure(given))) == 3 * 5 - 2


def test_what_is_not_finite_is_left_white_and_said():
    given = result()
    given["top"][:, 0, 0] = np.nan
    given["top"][:, 0, 1, 0, 0] = np.inf
    blank = ["holds values that are not finite", "", ""]
    given = given.assign_coords(blank=("layer", blank))
    drawn = figure(given)
    assert len(maps(drawn)) == 3 * 5 - 1
    assert np.ma.getmaskarray(maps(drawn)[1].get_array()).sum() == 1
    assert "not finite" in texts(drawn)
    assert "holds values that" in " ".join(texts(drawn))


def test_of_many_layers_some_are_drawn_and_that_is_said():
    drawn = figure(result(layers=60, ranks=1))
    assert len(maps(drawn)) == 20 * 2
    assert any("20 of 60 layers" in text for text in texts(drawn))
    assert {"stages.0", "stages.59"} <= set(texts(drawn))
    assert len(maps(figure(result(layers=60, ranks=20)))) == 6 * 21, "three lines a layer"
    assert shown_layers(5, 20) == [0, 1, 2, 3, 4]
    assert shown_layers(100, 3) == [0, 50, 99]
    assert shown_layers(1, 20) == [0]


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0, 2.5, "0 to 2.5"),
        (-0.077, 0.64, "−0.08 to 0.64"),
        (-40.123, -39.951, "−40.1 to −40.0"),
        (-5.04, 6.2, "−5.0 to 6.2"),
        (0, 1234.5, "0 to 1234"),
        (1e-6, 3e-6, "1e−6 to 3e−6"),
        (-2, -2, "−2"),
        (0, 0, "0"),
    ],
)
def test_ranges_are_short_and_tell_their_ends_apart(low, high, text):
    assert value_range(low, high, lambda text: len(text) < 15) == text


@pytest.mark.parametrize("shape", [(1, 1, (32, 32)), (17, 8, (9, 40)), (12, 20, (40, 9))])
def test_tiles_do_not_overlap_and_the_figure_fits_a_page(shape):
    layers, ranks, size = shape
    given = result(images=1, layers=layers, ranks=ranks, size=size)
    names = [f"encoder.layers.encoder_layer_{i}.self_attention.out_proj" for i in range(layers)]
    drawn = plot(given.assign_coords(layer=names))
    boxes = [axes.bbox for axes in drawn.axes if axes.images]
    for i, a in enumerate(boxes):
        assert a.x0 >= 0 and a.y0 >= 0
        for b in boxes[:i]:
            assert a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0
    assert drawn.get_size_inches()[0] < 7.3


def test_filters_without_components_are_drawn_as_they_are():
    given = result()
    drawn = filter_figure(given)
    assert "filters of the first convolution, conv1" in " ".join(texts(drawn))
    assert "all 10 filters" in texts(drawn)
    ((shown,),) = (axes.images for axes in drawn.axes if axes.images)
    first = given["filters"].values[0]
    expected = 0.5 + 0.5 * first / np.abs(first).max()
    np.testing.assert_allclose(shown.get_array()[:4, :4], expected.transpose(1, 2, 0))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(InputError, match="no image 2"):
        figure(result(), 2)
    with pytest.raises(InputError, match="no feature maps"):
        figure(result().drop_vars("top"))
    with pytest.raises(InputError, match="the model has none"):
        filter_figure(result().drop_vars("filters").assign_attrs(no_filters="the model has none"))
