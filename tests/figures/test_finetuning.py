"""The figure of checkpoints: lines in their order, bands, blanks, names that fit."""

import numpy as np
import pytest
import xarray
from drawn import check_texts
from matplotlib.text import Text

from vitprobe.errors import InputError
from vitprobe.figures import plot

LABEL = "vit@checkpoints/vit-digits-scratch.epoch-{:03}.safetensors"


def made(checkpoints=3, blocks=6, *, attention=True, label="epoch {}", blank=()):
    numbers = np.random.default_rng(0)
    layers = [f"blocks.{i}" for i in range(blocks)] + ["output"]
    depth = np.linspace(0, 0.8, blocks + 1)
    cka = 1 - np.linspace(0, 1, checkpoints)[:, None] * depth
    errors = numbers.uniform(0.01, 0.02, cka.shape)
    errors[0] = 0
    for place in blank:
        cka[place] = errors[place] = np.nan
    dims = ("checkpoint", "layer")
    variables = {"cka": (dims, cka), "cka_se": (dims, errors)}
    coords = {
        "checkpoint": [label.format(k) for k in range(checkpoints)],
        "layer": layers,
        "block": ("layer", [*layers[:-1], ""]),
        "weights": ("checkpoint", ["random", *["a.pt"] * (checkpoints - 1)]),
    }
    if attention:
        dims = ("checkpoint", "attention_layer")
        distance = numbers.uniform(8, 16, (checkpoints, blocks))
        variables |= {"distance": (dims, distance), "distance_se": (dims, 0.1 + 0 * distance)}
        coords["attention_layer"] = [f"{layer}.attn" for layer in layers[:-1]]
        coords["attention_block"] = ("attention_layer", layers[:-1])
    attrs = {"analysis": "finetuning", "dataset": "digits", "examples": 1360}
    return xarray.Dataset(variables, coords, attrs)


def panels(drawn):
    return [axes for axes in drawn.axes if axes.axison]


def lines(axes):
    return [line for line in axes.lines if len(line.get_xdata()) > 1]


def test_a_line_for_each_checkpoint():
    given = made()
    left, right = panels(plot(given))
    for line, values in zip(lines(left), given["cka"].values[1:], strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values)
    shown = [*given["distance"].values[1:], given["distance"].values[0]]
    for line, values in zip(lines(right), shown, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values)
    colours = [line.get_color() for line in lines(left)]
    assert colours == [line.get_color() for line in lines(right)[:2]] and len(set(colours)) == 2
    assert lines(right)[2].get_linestyle() == "--"
    assert left.get_ylabel() == "CKA with epoch 0"
    assert left.get_ylim()[0] <= 0 and left.get_ylim()[1] > 1


def test_bands_are_standard_errors():
    given = made(2)
    left, right = panels(plot(given))
    for axes, name in ((left, "cka"), (right, "distance")):
        (path,) = axes.collections[0].get_paths()
        heights = path.vertices[:, 1]
        values, errors = given[name].values[1], given[f"{name}_se"].values[1]
        for edge in (values - errors, values + errors):
            assert all(np.isclose(heights, each).any() for each in edge)


def test_what_is_written():
    found = [text.get_text() for text in plot(made()).findobj(Text)]
    assert "Each layer against the first checkpoint" in found
    assert any("1,360 examples" in text and "standard errors" in text for text in found)
    assert any("random weights: epoch 0" in text for text in found)
    assert {"epoch 0", "epoch 1", "epoch 2"} <= set(found)
    drawn = plot(made(), title="Mine", labels=["a", "b", "c"])
    found = [text.get_text() for text in drawn.findobj(Text)]
    assert {"Mine", "a", "b", "c", "CKA with a"} <= set(found)


def test_the_colours_of_many_follow_their_order():
    left = panels(plot(made(21)))[0]
    colours = np.array([line.get_color()[:3] for line in lines(left)])
    light = colours @ [0.3, 0.6, 0.1]
    assert len(light) == 20 and (np.diff(light) > 0).all()


def test_blanks_are_gaps_or_hatched():
    blank = [(k, 2) for k in range(3)] + [(1, 4)]
    left, _ = panels(plot(made(3, blank=blank)))
    (hatched,) = left.patches
    assert hatched.get_x() == 1.5 and hatched.get_hatch()
    assert np.isnan(lines(left)[0].get_ydata()[[2, 4]]).all()
    assert any(bars.has_yerr for bars in left.containers)  # of the value between the two


@pytest.mark.parametrize(
    "given",
    [
        made(21, 12, label=LABEL),
        made(2, 60),
        made(2, 0, attention=False),
        made(1),
        made(5, 4, attention=False, label="checkpoint_" * 8 + "{}"),
    ],
    ids=["21 checkpoints", "60 blocks", "one layer", "one checkpoint", "long names"],
)
def test_all_of_it_can_be_read(given):
    drawn = plot(given)
    check_texts(drawn, least=6.0)
    width, height = drawn.get_size_inches()
    assert 3.3 < width < 7 and height < 6


def test_layers_can_be_chosen():
    left = panels(plot(made(), layers=["blocks.1", "blocks.2"]))[0]
    assert [label.get_text() for label in left.get_xticklabels()] == ["blocks.1", "blocks.2"]


def test_another_result_is_refused():
    with pytest.raises(InputError, match="no 'cka' over checkpoint and layer"):
        plot(made().drop_vars("cka"))
