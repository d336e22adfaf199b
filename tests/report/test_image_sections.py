"""What pages draw of single images and of places: the numbers of the results, where they belong."""

import base64
import gzip
import io

import numpy as np
import pytest
from PIL import Image

import vitprobe
from vitprobe.report.drawn import drawn
from vitprobe.report.kinds import Gallery, Lines, Map, Stack
from vitprobe.report.sections import (
    dominant,
    features,
    head_subsets,
    localization,
    maps,
)
from vitprobe.report.sections._receptive_maps import receptive_maps
from vitprobe.report.sections._skip_maps import skip_maps


def unpacked(held) -> np.ndarray:
    """What the page's scripts make of `packed`."""
    if "numbers" in held:
        values = np.array(held["numbers"], float)
    else:
        planes = np.frombuffer(gzip.decompress(base64.b64decode(held["bytes"])), np.uint8)
        words = planes.reshape(2, -1).astype(int)
        words = words[0] + 256 * words[1]
        values = np.where(words == 65_535, np.nan, held["low"] + words * held["step"])
    return values.reshape(held["shape"])


def pixels_of(url) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


@pytest.fixture(scope="module")
def looked():
    return vitprobe.maps("vit@digits", "digits", [0, 1], layers=["blocks.1", "blocks.5"])


@pytest.fixture(scope="module")
def read():
    """Of `vit@digits`: localization, dominant, skips."""
    readers = [
        vitprobe.LocalizationReader(),
        vitprobe.DominantReader("blocks", top=6),
        vitprobe.SkipsReader(),
    ]
    found = vitprobe.run(readers, "vit@digits", examples=24, batch_size=12)
    return [group[0] for group in found]


def test_maps(looked):
    attention, positions, components, filters = maps.figures([looked])
    assert [dim.title for dim in attention.dims] == ["image", "layer", "map"]
    assert attention.dims[1].names == ["blocks.1.attn", "blocks.5.attn"]
    assert attention.dims[1].slider and attention.dims[1].start == 1
    np.testing.assert_array_equal(attention.values[:, :, 0], looked["rollout"])
    np.testing.assert_array_equal(attention.values[:, :, 2:], looked["attention"])
    np.testing.assert_allclose(attention.values[:, :, 1], looked["attention"].mean("head"))
    assert attention.dims[2].names[:3] == ["rollout", "mean of heads", "head 0"]
    assert attention.caption.startswith("Attention of the class token")
    held = drawn(attention)
    assert len(held["values"]) == 2 * 2 * 6 and held["of"] == 0 and held["ratio"] == 1
    np.testing.assert_array_equal(pixels_of(held["pictures"][1]), looked["picture"][1, ..., 0])
    wanted = looked["attention"].values[1, 0, 2]
    found = unpacked(held["values"][(1 * 2 + 0) * 6 + 4])
    np.testing.assert_allclose(found, wanted, atol=np.ptp(wanted) / 131_000)
    np.testing.assert_array_equal(positions.values[8 * 3 + 5], looked["position_similarity"][3, 5])
    assert (
        positions.dims[0].names[8 * 3 + 5] == "row 3, column 5" and positions.dims[0].columns == 8
    )
    assert (positions.marks[8 * 3 + 5][0].row, positions.marks[8 * 3 + 5][0].column) == (3.5, 5.5)
    assert components.names[0] == f"{100 * float(looked['component_variance'][0]):.1f} %"
    assert filters.pictures.shape == (128, 4, 4, 3)
    # what a model knows beforehand is shown once, however many images there are
    again = maps.figures([looked, looked])
    assert [type(each) for each in again] == [Stack, Stack, Stack, Gallery, Gallery]


def test_heads_that_a_layer_lacks_are_blank(looked):
    few = looked.copy(deep=True)
    few["attention"][:, 0, 3] = np.nan
    attention = maps.figures([few])[0]
    assert attention.said[0, 0, 5] == "this layer has fewer heads" != attention.said[0, 1, 5]
    mean = looked["attention"].values[:, 0, :3].mean(1)
    np.testing.assert_allclose(attention.values[:, 0, 1], mean)


def test_features_of_grids_of_several_sizes():
    layers = ["layer1.0", "layer3.2"]
    result = vitprobe.features("resnet20@digits", "digits", layers, index=[0, 1], top=2)
    stack, filters = features.figures([result])
    held = drawn(stack)
    assert [each["shape"] for each in held["values"]] == ([[32, 32]] * 3 + [[8, 8]] * 3) * 2
    wanted = result["top"].values[1, 1, 0, :8, :8]
    found = unpacked(held["values"][(1 * 2 + 1) * 3 + 1])
    np.testing.assert_allclose(found, wanted, atol=np.ptp(wanted) / 131_000)
    channel = int(result["top_channel"][1, 1, 0])
    assert held["said"][(1 * 2 + 1) * 3 + 1].startswith(f"channel {channel} of 64")
    assert held["said"][0] == "mean of 16 channels; 32 x 32 positions"
    assert stack.dims[2].names == ["mean", "strongest", "2nd"]
    assert stack.opacity == 1 and filters.pictures.shape == (16, 3, 3, 3)
    assert features._ranks(23)[9:] == [
        *("10th", "11th", "12th", "13th", "14th", "15th", "16th", "17th", "18th"),
        *("19th", "20th", "21st", "22nd", "23rd"),
    ]


def test_localization(read):
    result = read[0]
    (stack,) = localization.figures([result])
    at = 8 * 2 + 5
    np.testing.assert_array_equal(stack.values[at], result["cka"].sel(token_row=2, token_col=5))
    np.testing.assert_array_equal(stack.error[at], result["cka_se"].sel(token_row=2, token_col=5))
    np.testing.assert_array_equal(stack.values[64], result["cka_cls"])
    dim = stack.dims[0]
    assert (dim.names[at], dim.names[64], dim.columns) == ("row 2, column 5", "class token", 8)
    assert (stack.marks[at][0].row, stack.marks[at][0].column) == (2.5, 5.5)
    assert stack.marks[64] == []
    row, column = np.unravel_index(stack.values[at].argmax(), (8, 8))
    assert stack.said[at].startswith(f"most similar patch: row {row}, column {column}")
    assert stack.limits[1] == max(result["cka"].max(), result["cka_cls"].max())


def test_localization_of_chosen_tokens_and_blanks(read):
    """Tokens that were not asked for are not there; a constant patch is blank."""
    result = read[0].copy(deep=True)
    asked = np.full((8, 8), "not asked for", object)
    asked[2, 5], asked[6, 1] = "", "constant activations"
    result = result.assign_coords(blank_token=(("token_row", "token_col"), asked))
    result["cka"][6, 1] = np.nan
    (stack,) = localization.figures([result])
    assert stack.dims[0].names == ["row 2, column 5", "row 6, column 1", "class token"]
    assert stack.dims[0].columns == 0 and stack.said[1] == "constant activations"
    assert np.isnan(unpacked(drawn(stack)["values"][1])).all()


def test_dominant(read):
    result = read[1]
    whole, shares, examples = dominant.figures([result])
    assert isinstance(whole, Map) and isinstance(shares, Lines)
    assert whole.rows.title == whole.columns.title == "vit@digits"
    everything, without = whole.sheets
    np.testing.assert_allclose(everything.values, result["cka"], atol=1e-6)
    np.testing.assert_allclose(without.values, result["cka_without"], atol=1e-6)
    np.testing.assert_array_equal(without.error, result["cka_without_se"])
    count = int(result.attrs["examples_left_out"])
    assert without.name == f"without the {count} dominant examples"
    np.testing.assert_array_equal(shares.series[0].y, result["first_share"])
    assert len(examples.pictures) == len(examples.names) == 6
    first = f"example {int(result['examples'][0])}\nclass {int(result['label'][0])}\n"
    assert examples.names[0] == f"{first}score {float(result['score'][0]):.2f}"
    held = drawn(examples)
    assert (held["count"], held["height"], held["width"]) == (6, 32, 32)
    thumbnail = result["thumbnail"].values[4, ..., 0]
    np.testing.assert_array_equal(pixels_of(held["source"])[4 * 32 : 5 * 32], thumbnail)
    bare = result.drop_vars("thumbnail")  # a model that is shown no images
    assert len(dominant.figures([result, bare])) == 5


def test_skips(read):
    ratio, cosine = skip_maps(read[2])
    np.testing.assert_array_equal(ratio.values, read[2]["ratio_map"])
    np.testing.assert_array_equal(cosine.values, read[2]["cosine_map"])
    assert ratio.limits[0] == pytest.approx(1 / ratio.limits[1]) and ratio.scale == "log"
    assert ratio.dims[0].names == read[2]["layer"].values.tolist()
    assert ratio.said[3] == f"class token: {float(read[2]['ratio_special'][3, 0]):.3g}"
    none = read[2].drop_vars(["ratio_map", "ratio_special", "cosine_map", "cosine_special"])
    assert skip_maps(none) == []


def test_receptive_fields(monkeypatch):
    layers = ["layer1.0", "layer3.2"]
    result = vitprobe.receptive_field("resnet20@digits", layers=layers, examples=4)
    stack = receptive_maps(result)
    np.testing.assert_array_equal(stack.values, result["map"])
    r50, r90, *box = stack.marks[0]
    assert (r50.height, r90.width) == (2 * result["r50"][0], 2 * result["r90"][0])
    assert (r50.dashed, r90.dashed, r50.round) == (False, True, True)
    assert r50.row == float(result["point_row"][0]) + 0.5
    assert [each.height for each in box] == [float(result["box"][0])]
    # larger images: several pixels a cell, the same sum, the same places
    monkeypatch.setattr("vitprobe.report.sections._receptive_maps.MOST", 12)
    small = receptive_maps(result)
    assert small.values.shape == (2, 11, 11)
    np.testing.assert_allclose(small.values.sum((1, 2)), result["map"].sum(("row", "col")))
    assert small.values[0, 4, 5] == pytest.approx(result["map"].values[0, 12:15, 15:18].sum())
    assert small.marks[0][0].row == pytest.approx(r50.row / 3)
    assert small.marks[0][0].height == pytest.approx(r50.height / 3)
    assert "3 x 3 pixels" in small.caption


def test_head_subsets():
    result = vitprobe.head_subsets("vit@digits", "resnet20@digits", examples=16, batch_size=8)
    figures = head_subsets.figures([result])
    assert [each.title.split(" of ")[0] for each in figures] == ["1 head", "2 heads"]
    one = figures[0]
    assert [each.name for each in one.series] == result["layer"].values.tolist()
    order = one.series[1].names
    assert sorted(order) == [f"head {k}" for k in range(4)]
    for name, x, y, error in zip(
        order, one.series[1].x, one.series[1].y, one.series[1].error, strict=True
    ):
        at = result["heads"].values.tolist().index(name.removeprefix("head "))
        assert x == result["distance"][at] and y == result["cka"][at, 1]
        assert error == result["cka_se"][at, 1]
    assert (np.diff(one.series[1].x) >= 0).all()
    assert {(each.x.low, each.y.high) for each in figures} == {(one.x.low, one.y.high)}
