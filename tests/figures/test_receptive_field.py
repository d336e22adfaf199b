"""The figures of receptive fields show the result's maps and numbers, legibly and whole."""

import matplotlib.image
import numpy as np
import pytest
import xarray
from matplotlib.patches import Circle, Rectangle
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot, save_png
from vitprobe.figures.receptive_field_compare import compare


def made(layers=9, shape=(32, 32), model="vit", sublayers=False, blank=(), box=True, names=None):
    """A result as it comes out: round maps that grow with depth."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    point = (shape[0] / 2, shape[1] / 2)
    distance = np.hypot(rows - point[0], columns - point[1])
    names = names or [f"blocks.{i}" for i in range(layers)]
    if sublayers:
        names = [f"{name}{end}" for name in names for end in (".attn", ".mlp", "")]
    count = len(names)
    maps = np.exp(-(distance**2) / (2 * np.linspace(2, 8, count)[:, None, None] ** 2))
    maps /= maps.sum((1, 2), keepdims=True)
    r50, r90 = np.linspace(2, 9, count), np.linspace(4, 14, count)
    for k in blank:
        maps[k], r50[k], r90[k] = np.nan, np.nan, np.nan
    boxes = np.linspace(7, 81, count).round() if box else np.full(count, np.nan)
    twins = [
        name + ".mlp" if sublayers and not name.endswith(("attn", "mlp")) else "" for name in names
    ]
    layer = {
        "layer": names, "twin": twins, "block": [""] * count,
        "point_row": [point[0]] * count, "point_col": [point[1]] * count,
    }  # fmt: skip
    values = {"r50": r50, "r50_se": r50 / 20, "r90": r90, "r90_se": r90 / 20, "box": boxes}
    return xarray.Dataset(
        {"map": (("layer", "row", "col"), maps), **{k: ("layer", v) for k, v in values.items()}},
        {name: ("layer", each) for name, each in layer.items()},
        {
            "analysis": "receptive_field", "model": model, "dataset": "digits", "examples": 32,
            "residual": "post", "convention": "raghu", "model_weights": "random",
        },
    )  # fmt: skip


LONG = [f"encoder.layers.encoder_layer_{i}.very_long_name_of_a_module_{i}" for i in range(14)]
CASES = {
    "small": lambda: [made()],
    "one layer": lambda: [made(1)],
    "sixty": lambda: [made(60)],
    "sublayers": lambda: [made(12, sublayers=True, box=False)],
    "blanks": lambda: [made(6, blank=(0, 3))],
    "all blank": lambda: [made(2, blank=(0, 1), box=False)],
    "long names": lambda: [made(names=LONG)],
    "wide": lambda: [made(8, (32, 96))],
    "tall": lambda: [made(8, (96, 32))],
    "two": lambda: [made(12, sublayers=True, box=False), made(9, model="resnet")],
    "five of two sizes": lambda: [
        made(3 + k, (32, 32 + 32 * (k % 2)), model=f"a_rather_long_model_name_{k}@file_{k}.th")
        for k in range(5)
    ],
}


def drawn(case):
    results = CASES[case]()
    return plot(results[0]) if len(results) == 1 else compare(results)


def maps_of(figure):
    """Axes that hold a picture, but for the colour bar."""
    return [axes for axes in figure.axes if axes.images and axes.images[0].get_array().shape[1] > 1]


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_cut_off_or_overlaps(case, tmp_path):
    figure = drawn(case)
    assert figure.get_size_inches()[0] <= 7.3
    image = matplotlib.image.imread(save_png(figure, tmp_path / "figure.png"))[..., :3]
    border = np.concatenate([image[:8].reshape(-1, 3), image[-8:].reshape(-1, 3)])
    sides = np.concatenate([image[:, :8].reshape(-1, 3), image[:, -8:].reshape(-1, 3)])
    assert border.min() == sides.min() == 1
    renderer = figure.canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    inside = [(text, text.get_window_extent(renderer)) for text in texts if text.axes is not None]
    for i, (text, box) in enumerate(inside):
        for other, beside in inside[:i]:
            clash = box.padded(-1.5).overlaps(beside.padded(-1.5))
            assert not clash, (case, text.get_text(), other.get_text())
    assert min(text.get_fontsize() for text in texts) >= 6


def test_each_map_with_its_circles_and_box():
    result = made(sublayers=False)
    tiles = maps_of(plot(result))
    assert len(tiles) == 9
    for k, axes in enumerate(tiles):
        values = result["map"].values[k]
        np.testing.assert_allclose(axes.images[0].get_array(), np.sqrt(values / values.max()))
        assert axes.get_ylim() == (31.5, -0.5)
        circles = [patch for patch in axes.patches if isinstance(patch, Circle)]
        assert [each.radius for each in circles] == [result["r50"][k], result["r90"][k]]
        assert {each.center for each in circles} == {(16.0, 16.0)}
        boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        side = float(result["box"][k])
        assert [each.get_width() for each in boxes] == ([side] if side < 32 else [])


def test_radii_along_the_layers():
    result = made()
    axes = plot(result).axes
    (radii,) = [each for each in axes if each.get_ylabel() == "distance (px)"]
    drawn = [line.get_ydata() for line in radii.lines if line.get_marker() == "."]
    np.testing.assert_array_equal(drawn, [result["r50"], result["r90"]])
    (boxes,) = [line.get_ydata() for line in radii.lines if line.get_marker() == "s"]
    half = result["box"].values / 2
    np.testing.assert_array_equal(boxes, half[: len(boxes)])
    (beyond,) = [line.get_xdata() for line in radii.lines if line.get_marker() == "^"]
    assert beyond.tolist() == list(range(len(boxes), 9))


def test_a_layer_whose_tensor_is_another_is_not_shown_again():
    result = made(3, sublayers=True, box=False)
    texts = [text.get_text() for axes in maps_of(plot(result)) for text in axes.texts]
    named = [text for text in texts if text.startswith("blocks")]
    assert named == [f"blocks.{i}.{end}" for i in range(3) for end in ("attn", "mlp")]
    assert len(maps_of(plot(result, layers=["blocks.0", "blocks.1", "blocks.2"]))) == 3


def test_blanks_and_titles():
    figure = plot(made(6, blank=(0, 3)), title="my own")
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert texts.count("no value") == 2 and "my own" in texts
    assert len(maps_of(figure)) == 4


def test_models_beside_each_other():
    results = [made(12, sublayers=True, box=False), made(9, model="resnet")]
    figure = plot(*results, title="both")
    assert len(maps_of(figure)) == 12
    fifty = next(axes for axes in figure.axes if axes.get_ylabel() == "50 % within (px)")
    lines = [line for line in fifty.lines if line.get_marker() == "."]
    kept = [k for k in range(36) if k % 3 != 2]
    np.testing.assert_array_equal(lines[0].get_ydata(), results[0]["r50"].values[kept])
    np.testing.assert_array_equal(lines[1].get_xdata(), np.arange(9) / 8)
    assert "both" in [text.get_text() for text in figure.findobj(Text)]
    other = compare([results[0], made(9, (32, 64), model="resnet")])
    axes = next(axes for axes in other.axes if axes.get_ylabel().startswith("50 %"))
    assert axes.get_ylabel() == "50 % within (% of half\nthe diagonal)"
    line = [line for line in axes.lines if line.get_marker() == "."][1]
    scale = 200 / np.hypot(32, 64)
    np.testing.assert_allclose(line.get_ydata(), results[1]["r50"].values * scale)


def test_what_is_no_such_result():
    result = made().drop_vars("map")
    with pytest.raises(InputError, match="holds no receptive fields"):
        plot(result)
    with pytest.raises(InputError, match="holds no receptive fields"):
        compare([made(), result])
    with pytest.raises(InputError, match="no result"):
        compare([])
