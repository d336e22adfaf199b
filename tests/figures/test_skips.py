"""The skips figures show the result's numbers, legibly and whole."""

import matplotlib.image
import numpy as np
import pytest
import xarray
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot, save_png
from vitprobe.figures.skips_panels import log_ticks

GROUPS = ["patches", "cls", "registers"]


def made(
    blocks=3, *, cls=1, registers=0, grid=(4, 4), kinds=("attention", "mlp"), blank=(), **attrs
):
    """A result as `vitprobe.skips` gives it."""
    random = np.random.default_rng(0)
    prefix = attrs.pop("prefix", "blocks")
    parts = {"attention": ".attn", "mlp": ".mlp", "block": ""}
    layers = [(k, kind) for k in range(blocks) for kind in kinds]
    count, (rows, columns) = len(layers), grid
    there = np.array([True, cls > 0, registers > 0])
    dims = ("layer", "group")

    def values(low, high):
        found = np.where(there, random.uniform(low, high, (count, 3)), np.nan)
        found[list(blank)] = np.nan
        return found

    ratio_map = random.uniform(0.3, 8, (count, rows, columns))
    ratio_map[list(blank)] = np.nan
    variables = {
        "ratio": (dims, values(0.3, 10)),
        "ratio_se": (dims, 0.1 * values(0.3, 1)),
        "cosine": (dims, values(-0.3, 0.6)),
        "cosine_se": (dims, 0.02 * values(0.3, 1)),
        "ratio_map": (("layer", "row", "col"), ratio_map),
    }
    if cls + registers:
        special = random.uniform(0.1, 20, (count, cls + registers))
        variables["ratio_special"] = (("layer", "special"), special)
    coords = {
        "layer": [f"{prefix}.{k}{parts[kind]}" for k, kind in layers],
        "group": GROUPS,
        "kind": ("layer", [kind for _, kind in layers]),
        "block": ("layer", [f"{prefix}.{k}" for k, _ in layers]),
        "rows": ("layer", [rows] * count),
        "columns": ("layer", [columns] * count),
        "tokens": (dims, [[rows * columns, cls, registers]] * count),
        "blank": ("layer", ["non-finite" if k in blank else "" for k in range(count)]),
    }
    attrs = {
        "analysis": "skips",
        "model": "vit",
        "dataset": "digits (test)",
        "examples": 360,
    } | attrs
    return xarray.Dataset(variables, coords, attrs)


CASES = {
    "vit": lambda: made(6),
    "registers": lambda: made(12, registers=4, grid=(16, 16)),
    "one": lambda: made(1, cls=0, kinds=("block",)),
    "sixty": lambda: made(30, grid=(14, 14)),
    "sixty blocks": lambda: made(60, cls=0, kinds=("block",), grid=(56, 56), prefix="stages"),
    "long names": lambda: made(
        8, prefix="backbone.transformer.encoder.layers_of_the_model" * 2, model="long" * 40
    ),
    "three kinds": lambda: made(4, kinds=("attention", "mlp", "block")),
    "blanks": lambda: made(6, blank=(1, 4, 11)),
    "all blank": lambda: made(2, cls=0, blank=(0, 1, 2, 3)),
}


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def points(axes):
    """Every curve's points, as arrays (n, 2)."""
    return [line.get_xydata() for line in axes.lines if line.get_marker() in ("o", "s", "^")]


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_cut_off_and_all_is_legible(case, tmp_path):
    figure = plot(CASES[case]())
    image = matplotlib.image.imread(save_png(figure, tmp_path / "figure.png"))[..., :3]
    border = np.concatenate([image[:8].reshape(-1, 3), image[-8:].reshape(-1, 3)])
    sides = np.concatenate([image[:, :8].reshape(-1, 3), image[:, -8:].reshape(-1, 3)])
    assert border.min() == sides.min() == 1
    assert 6 < figure.get_size_inches()[0] < 8.2
    renderer = figure.canvas.get_renderer()
    boxes = []
    for axes in figure.axes:
        shown = [axes.xaxis.label, axes.yaxis.label, axes.title, *axes.texts]
        shown += axes.get_legend().get_texts() if axes.get_legend() else []
        shown += [label for label in axes.get_xticklabels() if label.get_text()]
        boxes += [
            (text.get_text(), text.get_window_extent(renderer))
            for text in shown
            if text.get_text() and text.get_visible()
        ]
        assert all(text.get_fontsize() >= 6 for text in shown)
    for i, (name, box) in enumerate(boxes):
        for other, beside in boxes[:i]:
            assert not box.padded(-1).overlaps(beside.padded(-1)), (case, name, other)


def test_curves_are_the_numbers():
    result = made(4)
    ratio, cosine = plot(result).axes[:2]
    for axes, name in ((ratio, "ratio"), (cosine, "cosine")):
        found = points(axes)
        expected = [
            result[name].sel(group=group).values[start::2]
            for start in (0, 1)
            for group in ("patches", "cls")
        ]
        assert len(found) == 4
        for curve, values, start in zip(found, expected, (0, 0, 1, 1), strict=True):
            np.testing.assert_array_equal(curve[:, 0], np.arange(start, 8, 2))
            np.testing.assert_array_equal(curve[:, 1], values)
    bars = ratio.collections[0].get_segments()
    heights = [np.ptp(bar[:, 1]) for bar in bars]
    np.testing.assert_allclose(heights, 2 * result["ratio_se"].sel(group="patches").values[::2])
    legend = [text.get_text() for text in ratio.get_legend().get_texts()]
    assert legend == ["attention", "MLP", "patches", "class token"]


def test_maps_are_the_tokens():
    result = made(3, registers=2)
    attention, mlp = plot(result).axes[2:4]
    for start, axes in enumerate((attention, mlp)):
        patches, special = (image.get_array() for image in axes.images)
        rows = slice(start, None, 2)
        np.testing.assert_array_equal(patches, result["ratio_map"].values[rows].reshape(3, 16))
        np.testing.assert_array_equal(special, result["ratio_special"].values[rows])
        norm = axes.images[0].norm
        assert norm.vmin * norm.vmax == pytest.approx(1)  # 1 is white
    assert [text.get_text() for text in attention.get_xticklabels()][:3] == ["c", "r", "r"]


def test_larger_maps_are_averaged_and_smaller_ones_repeated():
    result = made(2, cls=0, kinds=("block",), grid=(32, 32))
    result["rows"][1] = result["columns"][1] = 2
    (image,) = plot(result).axes[2].images
    large, small = image.get_array()
    values = result["ratio_map"].values
    np.testing.assert_allclose(large, values[0].reshape(256, 4).mean(1))
    np.testing.assert_array_equal(small, values[1, :2, :2].ravel().repeat(64))


def test_blanks_are_hatched_and_explained():
    figure = plot(made(6, blank=(1, 4)))
    hatched = [patch.get_x() + 0.5 for patch in figure.axes[0].patches if patch.get_hatch()]
    assert hatched == [1, 4]
    assert "no value (see blank)" in texts(figure)
    assert "no value (see blank)" not in texts(plot(made(3)))


def test_titles():
    written = "\n".join(texts(plot(made(3, model_weights="random"))))
    for fact in ("Skips of vit", "digits", "360 examples", "random weights"):
        assert fact in written
    assert "mine" in texts(plot(made(3), title="mine"))


def test_several_models_share_their_axes():
    first, second = made(3), made(5, cls=0, kinds=("block",), model="resnet")
    figure = plot(first, second)
    assert len(figure.axes) == 4  # ratio and cosine of patches, and of the class token
    curves = points(figure.axes[0])
    assert len(curves) == 3 and len(points(figure.axes[2])) == 2
    (other,) = (curve for curve in curves if len(curve) == 5)
    np.testing.assert_allclose(other[:, 0], (np.arange(5) + 0.5) / 5)
    np.testing.assert_array_equal(other[:, 1], second["ratio"].sel(group="patches").values)
    assert {"vit", "resnet", "attention", "MLP", "block"} <= set(texts(figure))
    assert "mine" in texts(plot(first, second, title="mine"))


def test_what_is_no_result_is_refused():
    with pytest.raises(InputError, match="no 'cosine' over layer and group"):
        plot(made(2).drop_vars("cosine"))
    with pytest.raises(InputError, match="holds no layers"):
        plot(made(2).isel(layer=slice(0)))


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.5, 2.2, [0.5, 1, 2]),
        (0.55, 2.2, [0.6, 0.8, 1, 1.5, 2]),
        (0.1, 15, [0.1, 0.2, 0.5, 1, 2, 5, 10]),
        (1e-4, 200, [1e-4, 1e-3, 0.01, 0.1, 1, 10, 100]),
    ],
)
def test_ticks_of_a_logarithmic_axis(low, high, ticks):
    assert log_ticks(low, high) == ticks
