"""The attention figure shows the result's numbers, in order, legibly and whole."""

import matplotlib.image
import numpy as np
import pytest
from attention_results import CASES, made, maxvit, swin, vit
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot, save_png
from vitprobe.figures.attention_compare import compare
from vitprobe.figures.attention_panels import short_names
from vitprobe.taps.token_grid import TokenGrid


def drawn(case):
    results = CASES[case]()
    return plot(results[0]) if len(results) == 1 else compare(results)


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def lines(axes):
    """Every line's points that are drawn with markers, as arrays (n, 2)."""
    return [line.get_xydata() for line in axes.lines if line.get_marker() == "o"]


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_cut_off_or_overlaps(case, tmp_path):
    figure = drawn(case)
    image = matplotlib.image.imread(save_png(figure, tmp_path / "figure.png"))[..., :3]
    border = np.concatenate([image[:8].reshape(-1, 3), image[-8:].reshape(-1, 3)])
    sides = np.concatenate([image[:, :8].reshape(-1, 3), image[:, -8:].reshape(-1, 3)])
    assert border.min() == sides.min() == 1
    renderer = figure.canvas.get_renderer()
    boxes = []
    for axes in figure.axes:
        shown = [axes.xaxis.label, axes.yaxis.label, *axes.texts]
        shown += axes.get_legend().get_texts() if axes.get_legend() else []
        shown += [label for label in axes.get_xticklabels() if label.get_text()]
        boxes += [
            (text.get_text(), text.get_window_extent(renderer))
            for text in shown
            if text.get_text() and text.get_visible()
        ]
    for i, (name, box) in enumerate(boxes):
        assert min(box.width, box.height) > 10  # pixels at 200 dpi: 6 pt are 17
        for other, beside in boxes[:i]:
            shrunk = beside.padded(-1)
            assert not box.padded(-1).overlaps(shrunk), (case, name, other)


def test_heads_are_sorted_in_the_first_and_last_two_layers():
    result = vit(12, 12)
    axes = plot(result).axes[0]
    shown = lines(axes)
    assert len(shown) == 4
    for points, layer in zip(shown, (0, 1, 10, 11), strict=True):
        np.testing.assert_array_equal(points[:, 0], np.arange(1, 13))
        np.testing.assert_allclose(points[:, 1], np.sort(result["distance"].values[layer]))
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["blocks.0", "blocks.1", "blocks.10", "blocks.11", "uniform attention"]


@pytest.mark.parametrize(("layers", "shown"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 4)])
def test_no_layer_is_shown_twice(layers, shown):
    assert len(lines(plot(vit(layers, 3)).axes[0])) == shown


def test_standard_errors_are_drawn():
    result = vit(2, 3)
    (bars, _) = plot(result).axes[0].collections
    heights = [np.ptp(segment[:, 1]) for segment in bars.get_segments()]
    order = np.argsort(result["distance"].values[0])
    np.testing.assert_allclose(heights, 2 * result["distance_se"].values[0][order])


@pytest.mark.parametrize(("panel", "name"), [(1, "distance"), (2, "entropy")])
def test_all_heads_and_their_mean_against_depth(panel, name):
    result = vit(6, 4)
    axes = plot(result).axes[panel]
    heads, means = lines(axes)
    np.testing.assert_array_equal(heads[:, 0], np.repeat(np.arange(6), 4))
    np.testing.assert_array_equal(heads[:, 1], result[name].values.ravel())
    np.testing.assert_allclose(means[:, 1], result[name].values.mean(1))
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > result[f"{name}_uniform"].values.max()


def test_uniform_attention_is_a_dashed_line():
    figure = plot(vit(6, 4))
    level = TokenGrid(14, 14, 1, 16, 16).uniform()
    (line,) = (line for line in figure.axes[0].lines if line.get_linestyle() == "--")
    np.testing.assert_allclose(line.get_ydata(), level["distance"])
    for axes, name in ((figure.axes[1], "distance"), (figure.axes[2], "entropy")):
        (steps,) = axes.patches
        np.testing.assert_allclose(steps.get_data().values, level[name])


def test_uniform_attention_of_a_hierarchy_rises_by_stages():
    result = swin()
    figure = plot(result)
    (steps,) = figure.axes[1].patches
    np.testing.assert_allclose(steps.get_data().values, result["distance_uniform"].values)
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    levels = result["distance_uniform"].values[[0, 1, -2, -1]]
    np.testing.assert_allclose([line.get_ydata()[0] for line in dashed], levels)


def test_layers_of_fewer_heads_end_earlier():
    shown = lines(plot(swin()).axes[0])
    assert [len(points) for points in shown] == [3, 3, 24, 24]


def test_blanks_are_hatched_and_explained():
    result = vit(12, 12, blank=(0, 5, 11))
    figure = plot(result)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend[:4] == ["blocks.1", "blocks.2", "blocks.9", "blocks.10"]
    hatched = [patch for patch in figure.axes[1].patches if patch.get_hatch()]
    assert [patch.get_x() + 0.5 for patch in hatched] == [0, 5, 11]
    assert "no value (see blank)" in texts(figure)
    assert "no value (see blank)" not in texts(plot(vit(6, 4)))


def test_a_result_of_blanks_only_is_still_drawn():
    assert "no value (see blank)" in texts(plot(vit(3, 2, blank=(0, 1, 2))))


def test_two_models_share_their_scales_and_legends():
    first, second = CASES["two"]()
    figure = compare([first, second])
    left, right = figure.axes[:3], figure.axes[3:]
    for a, b in zip(left, right, strict=True):
        assert a.get_ylim() == b.get_ylim()
        assert a.get_position().y0 == pytest.approx(b.get_position().y0)
        assert b.get_legend() is None and not b.get_ylabel()
    for row, dataset in ((left, first), (right, second)):  # each uses the whole of its panels
        assert row[1].get_xlim() == (-0.5, dataset.sizes["layer"] - 0.5)
    legend = [text.get_text() for text in left[0].get_legend().get_texts()]
    assert legend == ["first layer", "second", "last but one", "last layer", "uniform attention"]
    assert left[1].get_legend() is not None and left[2].get_legend() is None
    written = texts(figure)
    for fact in ("vit", "deit_tiny_patch16_224", "360 examples"):
        assert any(fact in text for text in written)


def test_a_layer_is_the_last_only_where_none_is_left_out():
    whole, blank = vit(6, 4), vit(6, 4, blank=(5,), model="blank")

    def legend(figure):
        return [text.get_text() for text in figure.axes[0].get_legend().get_texts()][:4]

    shown = ["first layer shown", "second", "last but one", "last shown"]
    assert legend(plot(whole, whole))[3] == "last layer"
    assert legend(plot(whole, blank)) == shown
    assert legend(plot(whole, whole, layers="blocks.[0-3]*")) == shown


def test_many_models_are_drawn_in_lines_of_one_length():
    given = [vit(3, 2, model=f"m{i}", seed=i) for i in range(6)]
    figure = compare(given)
    places = [figure.axes[3 * i].get_position() for i in range(6)]
    assert len({round(place.y0, 6) for place in places}) == 2
    assert [round(place.x0, 6) for place in places[3:]] == [round(p.x0, 6) for p in places[:3]]
    assert {f"m{i}" for i in range(6)} <= set(texts(figure))
    assert sum(axes.get_legend() is not None for axes in figure.axes) == 4


@pytest.mark.parametrize(
    ("normalize", "label"),
    [
        ("pixels", "(px)"),
        ("uniform", "(uniform attention = 1)"),
        ("diagonal", "(image diagonal = 1)"),
    ],
)
def test_units_of_distance(normalize, label):
    result = vit(6, 4)
    by = {"pixels": 1, "uniform": result["distance_uniform"].values[:, None]}
    by["diagonal"] = 32 * 2**0.5
    expected = result["distance"].values / by[normalize]
    ranked, depth, _ = plot(result, normalize=normalize).axes
    np.testing.assert_allclose(lines(depth)[0][:, 1], expected.ravel())
    np.testing.assert_allclose(lines(ranked)[0][:, 1], np.sort(expected[0]))
    (steps,) = depth.patches
    uniform = result["distance_uniform"].values / np.squeeze(by[normalize])
    np.testing.assert_allclose(steps.get_data().values, uniform)
    assert label in ranked.get_ylabel() and label in depth.get_ylabel()
    assert ranked.get_ylim()[1] < 1.2 * max(expected.max(), uniform.max())


def test_the_unit_where_none_is_chosen():
    small, large = vit(3, 2), vit(3, 2).assign_attrs(model_image_size="224, 224")
    assert "(px)" in compare([small, small]).axes[0].get_ylabel()
    figure = compare([small, large])
    assert "diagonal" in figure.axes[0].get_ylabel()
    low, high = (lines(figure.axes[place])[0][:, 1] for place in (1, 4))
    np.testing.assert_allclose(low, 7 * high)


def test_wrong_units():
    with pytest.raises(InputError, match="unknown normalize 'unifrom'; did you mean 'uniform'"):
        plot(vit(2, 2), normalize="unifrom")
    with pytest.raises(InputError, match="does not tell the image size of vit"):
        plot(vit(2, 2).assign_attrs(model_image_size=""), normalize="diagonal")


def test_titles_say_what_was_looked_at():
    written = "\n".join(texts(plot(vit(6, 4))))
    for fact in ("Attention of vit", "digits", "360 examples", "patches of 16 x 16 px", "random"):
        assert fact in written
    assert "layer: blocks.*.attn" in written


@pytest.mark.parametrize(
    ("names", "short", "ticks"),
    [
        (["blocks.0.attn", "blocks.11.attn"], ["blocks.0", "blocks.11"], ["0", "11"]),
        (["attn"], ["attn"], ["attn"]),
        (["a.attn", "a.attn#2"], ["attn", "attn#2"], ["attn", "attn#2"]),
        (["l.0.b.1.attn", "l.1.b.0.attn"], ["l.0.b.1", "l.1.b.0"], ["0.1", "1.0"]),
        (["e.layer_0.att", "e.layer_1.att"], ["layer_0", "layer_1"], ["layer_0", "layer_1"]),
        (["a", "a.b"], ["a", "a.b"], ["a", "a.b"]),
    ],
)
def test_names_lose_what_they_share(names, short, ticks):
    result = made(names, [2] * len(names), [TokenGrid(2, 2, 0, 4, 4)] * len(names))
    assert short_names(result)[0] == short
    assert short_names(result, ticks=True)[0] == ticks


def test_alike_names_stay_distinct_at_the_axis_and_in_the_legend():
    ranked, depth, _ = plot(maxvit()).axes
    legend = [text.get_text() for text in ranked.get_legend().get_texts()]
    ticks = [label.get_text() for label in depth.get_xticklabels()]
    assert len(set(legend)) == 5 and len(set(ticks)) == 22
    assert ticks[6:8] == ["1.1.attn_block", "1.1.attn_grid"] and legend[3] == "3.1.attn_grid"
    assert depth.get_xlabel() == "layer: stages.*.blocks.*.*.attn"


def test_a_result_without_its_variables_is_refused():
    with pytest.raises(InputError, match="no 'entropy' over layer and head"):
        plot(vit(2, 2).drop_vars("entropy"))
    with pytest.raises(InputError, match="holds no layers"):
        plot(vit(2, 2).isel(layer=slice(0)))
    with pytest.raises(InputError, match="two or more"):
        compare([])
