"""Where things land on the canvas, measured with the renderer and on the pixels."""

import re

import numpy as np
import pytest
from drawn import overlapping, texts

from vitprobe.figures import plot


def tick_texts(axis):
    return [label for label in axis.get_ticklabels() if label.get_text()]


@pytest.mark.parametrize("dpi", [200, 100])
def test_every_text_is_legible_inside_and_alone(figure, dpi):
    figure.set_dpi(dpi)
    artists, boxes = texts(figure)

    assert len(artists) >= 10
    assert min(text.get_fontsize() for text in artists) >= 6
    width, height = figure.bbox.size
    assert (
        (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= width).all() and (boxes[:, 3] <= height).all()
    )

    touching = np.argwhere(np.triu(overlapping(boxes, boxes), 1))
    assert not len(touching), [(artists[i].get_text(), artists[j].get_text()) for i, j in touching]
    areas = np.array([axes.bbox.extents for axes in figure.axes])  # the map and the colour bar
    assert not overlapping(boxes, areas).any()
    assert not overlapping(areas[:1], areas[1:]).any()
    assert (areas[:, :2] > 0).all() and (areas[:, 2] < width).all() and (areas[:, 3] < height).all()


def test_the_canvas_stays_within_bounds(figure):
    width, height = figure.get_size_inches()
    assert 2 <= width <= 14 and 2 <= height <= 14


def test_every_label_stands_where_its_layer_or_block_is(result, figure):
    axes = figure.axes[0]
    for side, axis in (("a", axes.yaxis), ("b", axes.xaxis)):
        names, blocks = result[f"layer_{side}"].values, result[f"block_{side}"].values
        for position, label in zip(axis.get_ticklocs(), tick_texts(axis), strict=True):
            layer = names[int(position)] if position % 1 == 0 else ""
            members = np.flatnonzero(blocks == label.get_text())
            kept = ".*".join(map(re.escape, label.get_text().split("…")))
            assert re.fullmatch(kept, layer) or (members.size and position == members.mean())


@pytest.mark.parametrize("case", ["10x10", "67x67", "10x10 long names"])
def test_all_names_are_shown_in_full_where_they_fit(cases, case):
    result = cases[case]()
    axes = plot(result).axes[0]
    assert [t.get_text() for t in tick_texts(axes.yaxis)] == list(result["layer_a"].values)
    assert [t.get_text() for t in tick_texts(axes.xaxis)] == list(result["layer_b"].values)
    assert not len(axes.yaxis.get_ticklocs(minor=True))


def test_blocks_are_shown_where_names_do_not_fit(cases):
    axes = plot(cases["263x67"]()).axes[0]
    up = [t.get_text() for t in tick_texts(axes.yaxis)]
    assert [text for text in up if text.startswith("blocks.")] == [f"blocks.{i}" for i in range(12)]
    assert up[0] == "patch_embed.proj" and up[-1] == "output"
    limits = axes.yaxis.get_ticklocs(minor=True)  # 6 sites of the stem, then 21 a block
    np.testing.assert_array_equal(limits, 5.5 + 21 * np.arange(13))
    across = [t.get_text() for t in tick_texts(axes.xaxis)]
    assert {f"layer{stage}.{i}" for stage in (1, 2, 3, 4) for i in (0, 1)} <= set(across)


def test_every_kth_is_shown_where_blocks_do_not_fit(cases):
    axes = plot(cases["300x173 of 300 blocks"]()).axes[0]
    places = axes.yaxis.get_ticklocs()
    assert 50 <= len(places) <= 100 and len(set(np.diff(places))) == 1
    assert [t.get_text() for t in tick_texts(axes.yaxis)] == [f"stages.{int(i)}" for i in places]


def test_names_too_long_for_the_page_keep_their_end(cases):
    labels = tick_texts(plot(cases["12x12 endless names"]()).axes[0].yaxis)
    assert len(labels) == 12
    for i, label in enumerate(labels):
        assert label.get_text().startswith("…encoder.")
        assert label.get_text().endswith(f"encoder.end{i}")


def test_alike_names_too_long_for_the_page_stay_distinct(cases):
    result = cases["11x11 alike names"]()
    labels = tick_texts(plot(result).axes[0].yaxis)
    for label, name in zip(labels, result["layer_a"].values, strict=True):
        assert re.findall(r"\d+", label.get_text()) == re.findall(r"\d+", name)
        assert "…" in label.get_text()
    assert len({label.get_text() for label in labels}) == 11


def test_dollars_and_underscores_are_plain_text(cases):
    labels = tick_texts(plot(cases["4x7 unicode"]()).axes[0].yaxis)
    assert "$x_1$ and $y" in [label.get_text() for label in labels]
    assert not any(label.get_parse_math() for label in labels)


@pytest.mark.parametrize(
    ("case", "least", "most"),
    [("10x10", 1, 1), ("30x55", 1, 1), ("300x300", 1, 1), ("263x67", 1, 2), ("67x263", 0.5, 1)],
)
def test_cells_are_square_or_nearly(cases, case, least, most):
    result = cases[case]()
    box = plot(result).axes[0].bbox
    rows, columns = result["cka"].shape
    assert least - 1e-6 <= (box.width / columns) / (box.height / rows) <= most + 1e-6
