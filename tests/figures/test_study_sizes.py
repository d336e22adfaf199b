"""Figures of studies of sizes: lines, bands and blanks at their places, legible and whole."""

import matplotlib.image
import numpy as np
import pytest
from drawn import check_texts
from made_sizes import WITHOUT, made
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot, save_png

LONG = "a_factory.of_models.with:very_long_names_that_go_on_and_on_$x_1$"
PARTS = (1.0, 0.1, 0.3)  # as a file may have them
CASES = {
    "two models, one long and deep": lambda: made({LONG: 24, "vit": 2}, PARTS, without=["vit"]),
    "all blank": lambda: made({"vit": 2}, PARTS, blank=[...], num_classes=0),
    "sizes, long names": lambda: made({LONG: 1, LONG + "2": 12}, fraction=False, seeds=1),
}


def panels(figure):
    """Rows of four."""
    found = [axes for axes in figure.axes if axes.axison]
    return [found[k : k + 4] for k in range(0, len(found), 4)]


def lines_of(axes, *, dashed=False):
    found = [line for line in axes.lines if len(line.get_xdata()) and line.get_marker() == "o"]
    return [line.get_xydata() for line in found if (line.get_linestyle() == "--") == dashed]


def words(figure):
    return " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_cut_off_or_overlaps(case, tmp_path):
    figure = plot(CASES[case]())
    image = matplotlib.image.imread(save_png(figure, tmp_path / "figure.png"))[..., :3]
    edges = [image[:8], image[-8:], image[:, :8], image[:, -8:]]
    assert min(edge.min() for edge in edges) == 1
    inside = [text for axes in figure.axes for text in axes.texts if axes.axison]
    for text in inside:  # reasons, which stand in their panels
        box, around = text.get_window_extent(), text.axes.bbox
        assert around.x0 <= box.x0 and box.x1 <= around.x1 and around.y0 <= box.y0
        text.set_visible(False)
    check_texts(figure)


def test_lines_are_means_and_bands_reach_from_lowest_to_highest():
    given = made({"vit": 6, "resnet20": 9}, PARTS, without=["resnet20"])
    (accuracy, cka, distance, skips), (_, _, blank, _) = panels(plot(given))
    small, middle = lines_of(cka)
    seeds = given["cka"].sel(model="vit", fraction=0.1).values[:, :7]
    np.testing.assert_allclose(small[:, 1], seeds.mean(0))
    np.testing.assert_allclose(
        middle[:, 1], given["cka"].sel(model="vit", fraction=0.3).values[:, :7].mean(0)
    )
    band = cka.collections[0].get_paths()[0].vertices
    for place in range(7):
        at = band[np.isclose(band[:, 0], place), 1]
        np.testing.assert_allclose([at.min(), at.max()], [seeds[:, place].min(),
                                                          seeds[:, place].max()])  # fmt: skip
    whole = lines_of(cka, dashed=True)[0]
    other = given["cka_other_seeds"].sel(model="vit", fraction=1.0).values[:, :7]
    np.testing.assert_allclose(whole[:, 1], other.mean(0))
    assert len(lines_of(distance)) == 3
    middle = given["accuracy"].sel(model="vit", fraction=[0.1, 0.3, 1.0]).mean("seed")
    np.testing.assert_allclose(accuracy.lines[0].get_ydata(), middle)
    assert cka.get_ylabel() == "CKA with the model of all data"
    assert blank.patch.get_hatch() and WITHOUT in words(blank.figure)


def test_skips_of_each_kind_are_a_line_on_a_log_axis():
    given = made({"vit": 3}, (0.5, 1.0))
    ((_, _, _, skips),) = panels(plot(given))
    assert skips.get_yscale() == "log"
    lines = [line for line in skips.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in lines] == [[0, 2, 4], [1, 3, 5]] * 2
    values = given["skip_ratio"].sel(model="vit", fraction=0.5, group="patches").values.mean(0)
    np.testing.assert_allclose(lines[0].get_ydata(), values[[0, 2, 4]])


def test_sizes_stand_at_their_relative_depth_the_largest_dashed():
    given = made({"large": 4, "small": 2}, fraction=False)
    given["parameters"][:] = [3_000_000, 1_000]
    given = given.assign_coords(largest=("model", ["large", "large"]))
    figure = plot(given)
    ((accuracy, cka, distance, _),) = panels(figure)
    (small,), (large,) = lines_of(cka), lines_of(cka, dashed=True)
    assert list(small[:2, 0]) == [0, 1] and small[2, 0] > 1  # the output
    np.testing.assert_allclose(large[:4, 0], [0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(
        large[:, 1], given["cka_other_seeds"].sel(model="large").mean("seed")
    )
    assert [label.get_text() for label in accuracy.get_xticklabels()] == ["1k", "3M"]
    assert "CKA of the largest with another seed of it" in words(figure)


def test_what_is_written():
    found = words(plot(made({"vit": 6}, PARTS, blank=[(0, 0, 1)])))
    for part in ("A study", "digits", "360 examples", "means of 3 seeds, bands: lowest to highest"):
        assert part in found
    assert "1 of 9 runs blank" in found and "10 %" in found
    found = words(plot(made({"vit": 2}, (0.5, 1.0), seeds=1)))
    assert "one seed" in found and "another seed of it" not in found


def test_other_names_and_another_result():
    given = made({"vit": 6}, PARTS)
    assert "mine!" in words(plot(given, labels=["mine!"], title="Mine"))
    with pytest.raises(InputError, match="no 'accuracy' over model, fraction, seed"):
        plot(given.isel(seed=0))
    with pytest.raises(InputError):
        plot(given, layers="blocks")
