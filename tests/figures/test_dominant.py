"""The figure of dominant examples: both maps, the shares at their rows, the thumbnails in order."""

import numpy as np
import pytest
import xarray
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot


def result(layers=5, rank=10, picture=(6, 8, 3), names=None):
    numbers = np.random.default_rng(0)
    names = names or [f"blocks.{k}" for k in range(layers)]
    columns = {"type": "Block", "block": "", "blank": "", "blank_without": ""}
    square = (("layer_a", "layer_b"), numbers.uniform(0, 0.9, (layers, layers)))
    return xarray.Dataset(
        {
            "cka": square,
            "cka_without": (square[0], square[1][::-1] - 0.05),
            "cka_se": (square[0], np.full((layers, layers), 0.021)),
            "cka_without_se": (square[0], np.full((layers, layers), 0.034)),
            "first_share": ("layer", numbers.uniform(0.2, 0.9, layers)),
            "first_share_se": ("layer", np.full(layers, 0.03)),
            "examples": ("rank", 100 + np.arange(rank)),
            "score": ("rank", np.linspace(9, 2, rank)),
            "label": ("rank", np.arange(rank) - 1),
            "thumbnail": (
                ("rank", "y", "x", "rgb"),
                numbers.integers(0, 255, (rank, *picture), dtype=np.uint8),
            ),
        },
        coords={name: ("layer", [word] * layers) for name, word in columns.items()}
        | {"layer": names, "layer_a": names, "layer_b": names},
        attrs={
            "analysis": "dominant",
            "model": "vit",
            "dataset": "digits",
            "examples": 360,
            "examples_left_out": 24,
            "batch_size": 45,
        },
    )


def texts(drawn):
    return [text.get_text() for text in drawn.findobj(Text)]


def test_both_maps_and_the_shares_at_their_rows():
    given = result()
    whole, without, shares = plot(given).axes[:3]
    for axes, name in ((whole, "cka"), (without, "cka_without")):
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array(), given[name].values)
        assert image.origin == "lower" and image.get_clim() == (0, 1)
    bars = shares.patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], given["first_share"])
    np.testing.assert_allclose([bar.get_y() + bar.get_height() / 2 for bar in bars], range(5))
    assert shares.get_ylim() == whole.get_ylim() == (-0.5, 4.5)


def test_thumbnails_are_in_the_order_of_their_scores():
    given = result()
    drawn = plot(given)
    pictures = [axes for axes in drawn.axes[3:] if axes.images and axes.images[0].origin == "upper"]
    assert len(pictures) == 10
    for k, axes in enumerate(pictures):
        np.testing.assert_array_equal(axes.images[0].get_array(), given["thumbnail"].values[k])
        above, below = (text.get_text() for text in axes.texts)
        assert above == (f"{100 + k}, class {k - 1}" if k else "100")
        assert below == f"{given['score'].values[k]:.3g}"
    found = texts(drawn)
    assert "24 examples left out (6.7 %)" in " ".join(found)
    assert "standard errors of CKA up to 0.034" in " ".join(found)
    assert any("lowest value" in text for text in found)


def test_one_example_is_one():
    found = texts(plot(result().assign_attrs(examples_left_out=1)))
    assert "1 example left out" in " ".join(found)


def test_blanks_are_hatched_and_told():
    given = result()
    given["cka_without"][2] = np.nan
    given["first_share"][2] = np.nan
    drawn = plot(given)
    assert [bool(axes.patch.get_hatch()) for axes in drawn.axes[:2]] == [False, True]
    assert [patch.get_hatch() for patch in drawn.axes[2].patches if patch.get_hatch()]
    assert "no value (see blank, blank_without)" in texts(drawn)


@pytest.mark.parametrize("layers", [1, 5, 60, 150])
@pytest.mark.parametrize("long", [False, True])
def test_it_fits_two_columns_and_nothing_is_cut_off(layers, long):
    names = [f"{'backbone.encoder.' * 2 * long}blocks.{k}" for k in range(layers)]
    drawn = plot(result(layers, rank=3, picture=(4, 4, 1), names=names))
    assert drawn.get_size_inches()[0] < (7.6 if long else 7.05)
    renderer = drawn.canvas.get_renderer()
    box = drawn.get_tightbbox(renderer)
    assert box.x0 >= 0 and box.y0 >= 0
    assert box.x1 <= drawn.get_size_inches()[0] and box.y1 <= drawn.get_size_inches()[1]
    labels = [label for label in drawn.axes[0].get_yticklabels() if label.get_text()]
    boxes = [label.get_window_extent(renderer) for label in labels]
    assert len(boxes) >= 1 and all(a.y1 <= b.y0 + 1 for a, b in zip(boxes, boxes[1:], strict=False))


def test_a_title_of_ones_own_and_no_thumbnails():
    drawn = plot(result().drop_vars("thumbnail"), title="mine")
    assert "mine" in texts(drawn) and not any("highest" in text for text in texts(drawn))
    assert len(drawn.axes) == 5  # two maps, shares, colour bar, title


def test_another_result_is_refused():
    for name in ("cka", "cka_without", "first_share"):
        with pytest.raises(InputError, match=name):
            plot(result().drop_vars(name))
