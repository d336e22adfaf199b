"""The figure of models against models: order, dendrogram, names that do not overlap, blanks."""

import numpy as np
import pytest
from drawn import overlapping, texts
from made_compare import made_compare

from vitprobe.errors import InputError
from vitprobe.figures import plot

LONG = "vit@checkpoints/run-{:02}/vit-digits-scratch.epoch-{:03}.safetensors"


def check(figure):
    artists, boxes = texts(figure)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= figure.bbox.size).all()
    touching = np.argwhere(np.triu(overlapping(boxes, boxes), 1))
    assert not len(touching), [(artists[i].get_text(), artists[j].get_text()) for i, j in touching]
    outside = [k for k, artist in enumerate(artists) if artist.get_gid() != "value"]
    areas = np.array([axes.bbox.extents for axes in figure.axes if axes.axison])
    assert not overlapping(boxes[outside], areas).any()
    assert min(artist.get_fontsize() for artist in artists) >= 6


@pytest.mark.parametrize(
    ("count", "options"),
    [
        (2, {}),
        (3, {}),
        (12, {"label": "vit@checkpoints/seed-{:02}/vit-digits.pt", "blank": (4,)}),
        (30, {"label": "vit@checkpoints/vit-digits-scratch.epoch-{:03}.safetensors"}),
        (5, {"same": (0, 1, 2, 3, 4)}),
        (4, {"blank": (0, 1, 2, 3)}),
    ],
)
def test_everything_is_legible(count, options):
    check(plot(made_compare(count, **options)))


def test_what_is_drawn():
    result = made_compare(6)
    figure = plot(result)
    matrix, tree, _, board = figure.axes[:4]
    order = np.argsort(result["order"].values)
    names = [label.get_text() for label in matrix.get_yticklabels()]
    assert names == [f"model {k}" for k in order]
    shown = matrix.images[0].get_array()
    np.testing.assert_allclose(shown, result["similarity"].values[np.ix_(order, order)])
    assert len(tree.lines) == 5
    heights = sorted(max(line.get_xdata()) for line in tree.lines)
    np.testing.assert_allclose(heights, np.sort(result["linkage"].values[:, 2]))
    # points of the map are as far from each other as in the result
    dots = np.array([line.get_xydata()[0] for line in board.lines if line.get_marker() == "o"])
    drawn = np.linalg.norm(dots[:, None] - dots[None], axis=2)
    places = result["position"].values
    wanted = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.testing.assert_allclose(drawn / drawn.max(), wanted / wanted.max(), atol=1e-9)
    faces = [line.get_color() for line in board.lines if line.get_marker() == "o"]
    assert [face == "white" for face in faces] == [True, False] * 3  # random weights are hollow
    said = " ".join(text.get_text() for text in texts(figure)[0])
    assert "How alike 6 models are" in said and "random weights" in said


def test_long_names_give_way_to_numbers_on_the_map():
    figure = plot(made_compare(12, label="vit@checkpoints/seed-{:02}/vit-digits-scratch.pt"))
    said = [text.get_text() for text in texts(figure)[0]]
    assert any("numbers on the map" in text for text in said)
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert [row.split()[-1] for row in rows] == [str(k) for k in range(1, 13)]
    assert len(set(rows)) == 12


def test_title_and_labels():
    result = made_compare(3)
    figure = plot(result, title="Mine", labels=["x", "y", "z"])
    said = {text.get_text() for text in texts(figure)[0]}
    assert {"Mine", "x", "y", "z"} <= said and "How alike 3 models are" not in said


def test_another_result():
    with pytest.raises(InputError, match="no 'similarity' over model and model2"):
        plot(made_compare(3).drop_vars("similarity"))
