"""The CKA map says what the result says: every cell, its colour, the scale, the blanks."""

import matplotlib
import numpy as np
import pytest
import xarray
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot


def pixels(figure):
    """(height, width, 3) in 0..1, row 0 at the top."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255


def cell_pixels(figure, row, column, shrink=0.6):
    """The pixels of the inner part of a cell, found from its place in data coordinates."""
    image = pixels(figure)
    to_pixels = figure.axes[0].transData.transform
    low = to_pixels((column - shrink / 2, row - shrink / 2))
    high = to_pixels((column + shrink / 2, row + shrink / 2))
    top, bottom = image.shape[0] - high[1], image.shape[0] - low[1]
    return image[int(top) : int(bottom) + 1, int(low[0]) : int(high[0]) + 1]


def all_texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_each_pixel_has_the_colour_of_its_cell(cases):
    # the map on the page, from its lower left corner: rows upwards, columns to the right
    result = cases["10x10"]()
    figure = plot(result)
    image, box = pixels(figure)[::-1], figure.axes[0].bbox
    colours = matplotlib.colormaps["magma"](result["cka"].values)[..., :3]
    for row in range(10):
        for column in range(10):
            x = box.x0 + (column + 0.5) * box.width / 10
            y = box.y0 + (row + 0.5) * box.height / 10
            assert np.abs(image[int(y), int(x)] - colours[row, column]).max() < 0.01


def test_the_image_holds_the_results_values_with_the_first_layers_lower_left(result, figure):
    axes = figure.axes[0]
    (image,) = axes.images
    shown = image.get_array().filled(np.nan)
    np.testing.assert_allclose(shown, result["cka"].values, rtol=0, atol=1e-6)
    assert image.origin == "lower" and image.get_interpolation() == "nearest"
    assert axes.get_xlim()[0] < axes.get_xlim()[1] and axes.get_ylim()[0] < axes.get_ylim()[1]
    assert image.get_clim() == (0, 1)


def test_the_order_of_the_results_dimensions_does_not_matter(cases):
    result = cases["30x25 negative"]()
    turned = result.transpose("layer_b", "layer_a")
    np.testing.assert_array_equal(pixels(plot(turned)), pixels(plot(result)))


def test_a_result_read_from_its_file_gives_the_same_figure(cases, tmp_path):
    pytest.importorskip("h5py")
    result = cases["30x25 negative"]()
    result.to_netcdf(tmp_path / "result.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "result.nc", engine="h5netcdf") as reloaded:
        np.testing.assert_array_equal(pixels(plot(reloaded)), pixels(plot(result)))


def test_titles_say_what_was_compared(cases):
    figure = plot(cases["30x25 negative"]())
    axes, bar = figure.axes
    assert axes.get_ylabel() == "vit" and axes.get_xlabel() == "resnet18"
    assert bar.get_ylabel() == "CKA (unbiased)"
    written = "\n".join(all_texts(figure))
    for fact in ("digits (test)", "10,240 examples", "unbiased estimator", "linear kernel"):
        assert fact in written
    for fact in ("tokens: all", "batches of 45", "3 passes", "standard errors up to 0.024"):
        assert fact in written
    assert "lowest value −0.2" in written


def test_the_scale_from_0_to_1_is_written_at_the_colour_bar(figure):
    bar = figure.axes[1]
    ticks = [label.get_text() for label in bar.get_yticklabels()]
    assert ticks[0] == "0.0" and ticks[-1] == "1.0"
    assert bar.get_yticks()[0] == 0 and bar.get_yticks()[-1] == 1


@pytest.mark.parametrize(
    ("value", "extend"),
    [(0.5, "neither"), (1 + 1e-9, "neither"), (1.2, "max"), (-1e-3, "min"), (np.nan, "neither")],
)
def test_arrows_mark_values_beyond_the_scale(cases, value, extend):
    result = cases["10x10"]()
    result["cka"][2, 3] = value
    figure = plot(result)
    assert figure.axes[0].images[0].colorbar.extend == extend
    if not np.isnan(value):  # shown in the colour of the end that it passed
        colour = matplotlib.colormaps["magma"](float(np.clip(value, 0, 1)))[:3]
        np.testing.assert_allclose(cell_pixels(figure, 2, 3)[3, 3], colour, atol=0.01)


def test_blanks_are_hatched_on_grey_and_explained(cases):
    result = cases["30x25 negative"]()
    figure = plot(result)
    for row in (3, 17):
        blank = cell_pixels(figure, row, 12, shrink=0.8).reshape(-1, 3)
        assert np.ptp(blank, axis=1).max() < 0.01  # grey, of no hue
        assert blank.max() > 0.85 and blank.min() < 0.6  # both the ground and the strokes
    assert all_texts(figure).count("no value (see blank_a / blank_b)") == 1

    colour = matplotlib.colormaps["magma"](result["cka"].values[4, 2])[:3]
    np.testing.assert_allclose(cell_pixels(figure, 4, 2)[3, 3], colour, atol=0.01)


def test_nothing_is_hatched_without_blanks(cases):
    figure = plot(cases["10x10"]())
    assert figure.axes[0].get_legend() is None and figure.axes[0].patch.get_hatch() is None


def test_a_result_of_blanks_only_is_still_drawn(cases):
    result = cases["10x10"]()
    result["cka"][:] = np.nan
    result["cka_se"][:] = np.nan
    figure = plot(result)
    assert np.ptp(cell_pixels(figure, 5, 5), axis=-1).max() < 0.01
    assert not any("standard errors" in text for text in all_texts(figure))


def test_a_result_without_cka_is_refused(cases):
    result = cases["10x10"]()
    with pytest.raises(InputError, match="no 'cka' over layer_a and layer_b"):
        plot(result.drop_vars("cka"))
    with pytest.raises(InputError, match="holds no layers"):
        plot(result.isel(layer_a=slice(0)))
