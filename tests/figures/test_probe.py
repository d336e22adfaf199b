"""The figures of probes: curves, references, maps, blanks, and legible text."""

import matplotlib
import numpy as np
import pytest
import xarray as xr
from drawn import overlapping, texts

from vitprobe.errors import InputError
from vitprobe.figures import plot, save_png


def made(blocks=6, inside=4, model="vit", blank=(), seed=0, **attrs):
    """A result of `vitprobe.probe` with made-up numbers: a stem, blocks, a head."""
    names, block, output = ["stem"], [""], [""]
    for k in range(blocks):
        own = [f"blocks.{k}.part{j}" for j in range(inside)] + [f"blocks.{k}"]
        names, block = names + own, block + [f"blocks.{k}"] * len(own)
        output += [""] * inside + [f"blocks.{k}"]
    names, block, output = names + ["norm", "head"], block + ["", ""], output + ["", ""]
    rng = np.random.default_rng(seed)
    accuracy = np.linspace(0.3, 0.95, len(names)) + rng.uniform(-0.04, 0.04, len(names))
    accuracy[list(blank)] = np.nan
    why = ["did not fire in batch 2" if k in blank else "" for k in range(len(names))]
    coordinates = {"layer": names, "block": ("layer", block), "block_output": ("layer", output)}
    return xr.Dataset(
        {
            "accuracy": ("layer", accuracy),
            "accuracy_se": ("layer", np.sqrt(accuracy * (1 - accuracy) / 360)),
        },
        {**coordinates, "blank": ("layer", why)},
        {
            **{"analysis": "probe", "model": model, "dataset": "digits", "chance": 0.101},
            **{"own_accuracy": 0.97, "model_weights": "digits", "solver": "ridge"},
            **{"tokens_asked": "mean", "examples_train": 1437, "examples_test": 360},
            "accuracy_se_of": "test images",
            **attrs,
        },
    )


def of_tokens(layers=7, grid=(8, 8), prefix=1, vector=True):
    tokens = prefix + grid[0] * grid[1]
    accuracy = np.random.default_rng(1).uniform(0.5, 1, (layers + vector, tokens))
    accuracy[layers:, 1:] = np.nan
    rows, columns = ([side] * layers + [0] * vector for side in grid)
    coordinates = {
        "layer": [f"blocks.{k}" for k in range(layers)] + ["output"] * vector,
        "rows": ("layer", rows),
        "columns": ("layer", columns),
        "prefix": ("layer", [prefix] * layers + [0] * vector),
        "tokens": ("layer", [tokens] * layers + [1] * vector),
    }
    variables = {
        "accuracy": (("layer", "token"), accuracy),
        "accuracy_se": (("layer", "token"), accuracy * 0 + 0.01),
    }
    return xr.Dataset(variables, coordinates, made().attrs | {"tokens_asked": "each"})


LONG = (
    "a_very_long_package_name.of_models:that_are_called_so(depth=12,width=768)@weights.safetensors"
)
CASES = {
    "one": [made()],
    "deep": [made(12, 12)],
    "few": [made(0)],
    "blanks": [made(blank=(0, 6, 7))],
    "long": [made(model=LONG)],
    "three": [made(seed=k, model=f"model{k}", blank=(4,) * k) for k in range(3)],
    "eight": [made(seed=k, model=f"{LONG}{k}") for k in range(7)],
    "maps": [of_tokens()],
    "many maps": [of_tokens(13, (10, 10), 5)],
    "two of tokens": [of_tokens(), of_tokens(4, (4, 6), 0)],
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_cut_off_and_all_is_legible(case, tmp_path):
    figure = plot(*CASES[case])
    image = matplotlib.image.imread(save_png(figure, tmp_path / "figure.png"))[..., :3]
    border = np.concatenate([image[:8].reshape(-1, 3), image[-8:].reshape(-1, 3)])
    sides = np.concatenate([image[:, :8].reshape(-1, 3), image[:, -8:].reshape(-1, 3)])
    assert border.min() == sides.min() == 1
    assert figure.get_size_inches()[0] < 9
    shown, boxes = texts(figure)
    assert all(text.get_fontsize() >= 6 for text in shown)
    meet = overlapping(boxes, boxes) & ~np.eye(len(boxes), dtype=bool)
    assert not meet.any(), [shown[k].get_text() for k in np.flatnonzero(meet.any(1))]


def words(figure):
    return [text.get_text() for text in texts(figure)[0]]


def test_the_line_goes_through_blocks_and_dots_lie_between():
    result = made(3, 2)
    axes = plot(result).axes[0]
    line = axes.lines[0].get_xydata()
    dots, band = axes.collections[:2]
    through = [0, 3, 6, 9, 10, 11]
    np.testing.assert_array_equal(line[:, 0], through)
    np.testing.assert_allclose(line[:, 1], 100 * result["accuracy"].values[through])
    dots = dots.get_offsets()
    between = [1, 2, 4, 5, 7, 8]
    np.testing.assert_allclose(dots, np.stack([between, 100 * result["accuracy"][between]], 1))
    band = band.get_paths()[0].vertices
    low, high = (100 * (result["accuracy"] + s * result["accuracy_se"])[0] for s in (-1, 1))
    found = band[band[:, 0] == 0, 1]
    assert {round(float(y), 6) for y in found} == {round(float(y), 6) for y in (low, high)}


def test_references_are_drawn_where_they_mean_something():
    written = words(plot(made()))
    assert {"chance", "its own classifier", "layers in between"} <= set(written)
    heights = [line.get_ydata()[0] for line in plot(made()).axes[0].lines[:3]]
    np.testing.assert_allclose(sorted(heights[1:3]), [10.1, 97])
    assert "its own classifier" not in words(plot(made(model_weights="random")))
    bare = made()
    del bare.attrs["own_accuracy"]
    assert "its own classifier" not in words(plot(bare))


def test_blanks_are_hatched():
    axes = plot(made(blank=(2, 5))).axes[0]
    hatched = [patch.get_x() + 0.5 for patch in axes.patches if patch.get_hatch()]
    assert hatched == [2, 5]
    assert "no value (see blank)" in words(plot(made(blank=(2,))))


def test_maps_are_the_tokens():
    result = of_tokens(2, (3, 5), 2)
    figure = plot(result)
    first = [axes for axes in figure.axes if axes.images][:2]
    special, patches = (axes.images[0].get_array() for axes in first)
    np.testing.assert_allclose(special[:, 0], 100 * result["accuracy"].values[0, :2])
    np.testing.assert_allclose(patches, 100 * result["accuracy"].values[0, 2:].reshape(3, 5))
    assert {"blocks.0", "blocks.1", "output"} <= set(words(figure))


def test_several_models_share_their_axes():
    first, second = made(3, 2), made(6, 1, model="resnet")
    figure = plot(first, second)
    (axes,) = figure.axes[:1]
    curves = [line.get_xydata() for line in axes.lines if line.get_marker() == "o"]
    assert len(curves) == 2
    np.testing.assert_allclose(curves[0][:, 0], (np.array([0, 3, 6, 9, 10, 11]) + 0.5) / 12)
    assert {"vit", "resnet"} <= set(words(figure))
    assert "mine" in words(plot(first, second, title="mine")) and "mine" in words(
        plot(first, title="mine")
    )


def test_one_model_probed_in_two_ways_is_told_apart():
    figure = plot(made(), made(tokens_asked="cls", seed=1))
    assert {"vit, mean", "vit, cls"} <= set(words(figure))
    figure = plot(made(), made(dataset="cifar10", shots=10, seed=1))
    assert {"vit, all images, digits", "vit, 10 shots, cifar10"} <= set(words(figure))


def test_weights_are_told_once_where_they_are_alike():
    written = "\n".join(words(plot(made(), made(model="other"))))
    assert written.count("weights that ship with vitprobe") == 1
    written = "\n".join(words(plot(made(), made(model="other", model_weights="random"))))
    assert "other: random weights" in written and "vit: weights that ship" in written
    assert "from the lowest token to the highest" in "\n".join(
        words(plot(of_tokens(), of_tokens()))
    )


def test_titles_say_how():
    written = "\n".join(words(plot(made(shots=10, draws=5, accuracy_se_of="draws"))))
    for fact in ("Probes of vit", "digits", "ridge probes", "10 images a class, 5 draws",
                 "standard error over draws", "360 test images"):  # fmt: skip
        assert fact in written


def test_what_is_no_result_is_refused():
    with pytest.raises(InputError, match="no 'accuracy' of layers"):
        plot(made().drop_vars("accuracy"))
    with pytest.raises(InputError, match="holds no layers"):
        plot(made().isel(layer=slice(0)))
