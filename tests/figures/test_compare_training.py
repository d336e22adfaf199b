"""Figures of training studies: means, ranges and blanks at their places, legible and whole."""

import matplotlib.image
import numpy as np
import pytest
import xarray
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot, save_png

DIMS = ("model", "pretraining", "fraction", "seed")
LONG = "a_factory.of_models.with:very_long_names_that_go_on_and_on_$x_1$"
FOLDER = "imagefolder:/data/a/very/long/path/to/imagenet-100-at-32-pixels"
FRACTIONS = (0.03, 0.1, 0.3, 1.0)
MANY = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


def made(models, sets=("none",), fractions=(1.0,), seeds=3, blank=(), **attrs):
    shape = (len(models), len(sets), len(fractions), seeds)
    accuracy = np.random.default_rng(0).uniform(0.2, 0.9, shape)
    for place in blank:
        accuracy[place] = np.nan
    coords = {"model": list(models), "pretraining": list(sets), "fraction": list(fractions)}
    return xarray.Dataset(
        {"accuracy": (DIMS, accuracy)},
        coords=coords | {"seed": list(range(seeds))},
        attrs={"analysis": "compare_training", "title": "A study", "dataset": "cifar10"}
        | {"num_classes": 10}
        | attrs,
    )


CASES = {
    "dots": lambda: made(("vit", "mini-vit", "resnet18"), ("none", "cifar100")),
    "one dot": lambda: made(("vit",), seeds=1),
    "long names": lambda: made((LONG, "vit"), ("none", FOLDER), (0.1,), blank=[(0, 1)]),
    "all blank": lambda: made(("vit", "resnet18"), blank=[...], num_classes=0),
    "lines": lambda: made(("vit", "resnet18"), fractions=FRACTIONS),
    "panels": lambda: made(("vit", LONG), ("none", "a", "b", FOLDER), FRACTIONS, seeds=1),
    "many": lambda: made([f"m{i}" for i in range(12)], fractions=MANY),
    "blank lines": lambda: made(("vit", "resnet18"), fractions=FRACTIONS, blank=[...]),
}


def panels(figure):
    return [axes for axes in figure.axes if axes.containers or axes.get_xlabel()]


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def drawn_texts(figure):
    """Every text but the labels of ticks outside their axis, which are not drawn."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not (axes.axison and low <= tick.get_loc() <= high):
                    hidden |= {tick.label1, tick.label2}
    found = figure.findobj(Text)
    return [text for text in found if text.get_text() and text.get_visible() and text not in hidden]


def bars(container):
    """(n, 2, 2): both ends, as points, of every error bar."""
    (lines,) = container.lines[2]
    return np.array(lines.get_segments())


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_cut_off_or_overlaps(case, tmp_path):
    figure = plot(CASES[case]())
    image = matplotlib.image.imread(save_png(figure, tmp_path / "figure.png"))[..., :3]
    edges = [image[:8], image[-8:], image[:, :8], image[:, -8:]]
    assert min(edge.min() for edge in edges) == 1
    renderer = figure.canvas.get_renderer()
    shown = [(text, text.get_window_extent(renderer)) for text in drawn_texts(figure)]
    shown = [(text.get_text(), box) for text, box in shown]
    assert len(shown) >= 5
    for i, (name, box) in enumerate(shown):
        assert box.height > 10  # pixels at 200 dpi
        for other, beside in shown[:i]:
            assert not box.padded(-1).overlaps(beside.padded(-1)), (name, other)
    for name, box in shown:
        assert box.x0 >= 0 and box.y0 >= 0, name
        assert box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height, name


def test_dots_are_means_and_bars_reach_from_lowest_to_highest():
    given = made(("vit", "resnet18"), ("none", "cifar100"))
    (axes,) = panels(plot(given))
    values = given["accuracy"].values[:, :, 0].reshape(4, 3)  # rows, top down
    found = sorted(axes.containers, key=lambda c: c.lines[0].get_xydata()[0, 1])
    for container, seeds in zip(found, values, strict=True):
        assert container.lines[0].get_xydata()[0, 0] == pytest.approx(seeds.mean())
        np.testing.assert_allclose(bars(container)[0][:, 0], [seeds.min(), seeds.max()])
    assert axes.yaxis_inverted()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["vit", "resnet18"]
    colours = [container.lines[0].get_color() for container in found]
    assert colours[0] == colours[2] != colours[1] == colours[3]


def test_numbers_stand_beside_the_dots():
    given = made(("vit", "resnet18"))
    given["accuracy"][0, 0, 0] = [0.5, 0.6, 0.7]
    given["accuracy"][1, 0, 0] = np.nan
    found = texts(plot(given))
    assert "60.0  (50.0 to 70.0)" in found and "blank" in found
    assert any("3 of 6 runs blank" in text for text in found)


def test_lines_follow_the_fraction_and_leave_gaps_at_blanks():
    fractions = (1.0, 0.03, 0.3)  # as a file may have them
    given = made(("vit", "resnet18"), fractions=fractions, blank=[(0, 0, 2), (1, 0, 0, 1)])
    (axes,) = panels(plot(given))
    assert axes.get_xscale() == "log"
    vit, resnet = (container.lines[0].get_xydata() for container in axes.containers)
    np.testing.assert_array_equal(vit[:, 0], [0.03, 0.3, 1.0])
    accuracy = given["accuracy"].values
    assert np.isnan(vit[1, 1]) and np.isfinite(vit[[0, 2], 1]).all()
    assert resnet[2, 1] == pytest.approx(np.nanmean(accuracy[1, 0, 0]))
    ends = bars(axes.containers[1])[2][:, 1]
    np.testing.assert_allclose(ends, [np.nanmin(accuracy[1, 0, 0]), np.nanmax(accuracy[1, 0, 0])])
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["3 %", "30 %", "100 %"]


def test_a_panel_for_each_pre_training_set_on_one_scale():
    given = made(("vit", "resnet18"), ("none", "cifar100", "svhn", "mnist"), FRACTIONS)
    found = panels(plot(given))
    assert [axes.get_title() for axes in found] == [
        f"pre-training: {name}" for name in ("none", "cifar100", "svhn", "mnist")
    ]
    assert len({axes.get_ylim() for axes in found}) == 1
    for j, axes in enumerate(found):
        drawn = [container.lines[0].get_ydata() for container in axes.containers]
        np.testing.assert_allclose(drawn, given["accuracy"].values[:, j].mean(-1))


@pytest.mark.parametrize("case", ["dots", "lines"])
def test_chance_is_drawn_where_it_is_known(case):
    given = CASES[case]()
    for classes, expected in ((10, 1), (0, 0)):
        given.attrs["num_classes"] = classes
        figure = plot(given)
        (axes,) = panels(figure)
        lines = [line for line in axes.lines if line.is_dashed()]
        assert len(lines) == expected
        assert any("chance, 10 %" in text for text in texts(figure)) == bool(expected)
        if lines:
            data = lines[0].get_xdata() if case == "dots" else lines[0].get_ydata()
            assert set(data) == {0.1}


def test_what_is_written():
    found = texts(plot(made(("vit",), ("cifar100",), (0.1,))))
    assert "A study" in found
    details = "  ".join(found)
    for part in ("cifar10", "10 % of the training set", "pre-training: cifar100", "3 seeds"):
        assert part in details
    assert "one seed" in "  ".join(texts(plot(CASES["one dot"]())))


def test_another_result_is_refused():
    with pytest.raises(InputError, match="no 'accuracy' over model, pretraining, fraction, seed"):
        plot(made(("vit",)).isel(seed=0))
