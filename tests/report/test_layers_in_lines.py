"""Sections of lines along the layers: every number of a result stands in the right line."""

import attention_results
import numpy as np
import pytest
import xarray as xr

from vitprobe.errors import InputError
from vitprobe.report.layers import labels_of, layer_axis
from vitprobe.report.sections import attention, finetuning, probe, receptive_field, skips


def along(names, values, attrs, **coords):
    """A result over layers: (n,) numbers, and errors of a tenth."""
    variables = {}
    for name, each in values.items():
        variables |= {name: ("layer", each), f"{name}_se": ("layer", np.abs(each) / 10)}
    coords = {"layer": names} | {key: ("layer", each) for key, each in coords.items()}
    return xr.Dataset(variables, coords, attrs)


def by_name(figure):
    return {each.name: each for each in figure.series}


def test_heads_by_distance_and_along_the_depth():
    result = attention_results.vit(3, 4, blank=(2,))
    ranked, distance, *others = attention.figures([result])
    values = result["distance"].values
    assert [each.name for each in ranked.series] == ["layer 0", "layer 1"] and ranked.ordered
    for layer, line in enumerate(ranked.series):
        np.testing.assert_array_equal(line.y, np.sort(values[layer]))
        heads = [f"{result['layer'].values[layer]}, head {k}" for k in np.argsort(values[layer])]
        assert list(line.names) == heads
        np.testing.assert_allclose(line.error, 0.01 * np.asarray(line.y))
    heads = [each for each in distance.series if each.group]
    assert distance.picks == "head" and [each.group for each in heads] == list("0123")
    for head, line in enumerate(heads):
        np.testing.assert_array_equal(line.y, values[:, head])
        assert not line.line
    np.testing.assert_allclose(by_name(distance)["mean of the heads"].y, values.mean(1))
    assert [level.name for level in distance.levels] == ["uniform attention"]
    assert distance.x.names == ["0", "1", "2"] and distance.x.title == "layer: blocks.*.attn"
    assert distance.caption == "No value: blocks.2.attn (its grid is unknown)."
    assert [each.y.unit for each in others] == ["nats", "", "px"]


def test_models_with_other_layers_share_a_depth_and_keep_their_colours():
    two = [attention_results.vit(3, 4, model="a"), attention_results.swin().assign_attrs(model="b")]
    whole, *each = attention.figures(two)
    assert [line.name for line in whole.series] == ["a", "b"] and whole.x.names is None
    np.testing.assert_allclose(whole.series[0].x, [1 / 6, 3 / 6, 5 / 6])
    values = two[1]["distance"].values
    np.testing.assert_array_equal(whole.series[1].low, np.nanmin(values, 1))
    np.testing.assert_array_equal(whole.series[1].high, np.nanmax(values, 1))
    dots = {f.title[-1]: line.colour for f in each for line in f.series if line.group}
    assert dots == {"a": 0, "b": 1} == {line.name: line.colour for line in whole.series}
    uniform = [line for f in each for line in f.series if line.name == "uniform attention"]
    assert uniform and all(line.dashed for line in uniform)  # windows of swin's stages differ


def skipped(model, kinds, cls=True):
    count, dims = len(kinds), ("layer", "group")
    shift = np.array([1.0, 2.0 if cls else np.nan, np.nan])
    ratio = np.arange(1.0, count + 1)[:, None] * shift
    return xr.Dataset(
        {"ratio": (dims, ratio), "ratio_se": (dims, ratio / 10),
         "cosine": (dims, ratio / 100), "cosine_se": (dims, ratio / 1000)},
        {"layer": [f"blocks.{k // 2}.{kind}" for k, kind in enumerate(kinds)],
         "group": ["patches", "cls", "registers"], "kind": ("layer", kinds)},
        {"analysis": "skips", "model": model},
    )  # fmt: skip


def test_skips_of_each_kind_of_layer_and_token():
    vit = skipped("vit", ["attention", "mlp"] * 2)
    figures = skips.figures([vit])
    assert [each.title for each in figures] == [
        *("|skip| / |branch|, patches", "Cosine of skip and branch, patches"),
        *("|skip| / |branch|, class token", "Cosine of skip and branch, class token"),
    ]
    assert figures[0].y.log and figures[0].levels[0].y == 1
    lines = by_name(figures[2])
    np.testing.assert_array_equal(lines["attention"].y, [2, 6])
    np.testing.assert_array_equal(lines["attention"].x, [0, 2])
    np.testing.assert_array_equal(lines["MLP"].error, [0.4, 0.8])
    assert list(lines["MLP"].names) == ["blocks.0.mlp", "blocks.1.mlp"]
    both = skips.figures([vit, skipped("resnet", ["block"] * 3, cls=False)])
    assert [each.name for each in both[0].series] == [
        *("vit, attention", "vit, MLP", "resnet, blocks"),
    ]
    assert [each.colour for each in both[0].series] == [0, 0, 1]
    assert [each.dashed for each in both[0].series] == [False, True, False]
    assert [each.name for each in both[2].series] == ["vit, attention", "vit, MLP"]


def radii(model, boxes):
    count = len(boxes)
    values = {"r50": np.arange(1.0, count + 1), "r90": np.arange(2.0, count + 2)}
    coords = {key: [""] * count for key in ("twin", "blank", "no_box")}
    coords |= {"point_row": [4.0] * count, "point_col": [4.0] * count}
    names = [f"layer{k}" for k in range(count)]
    result = along(names, values, {"analysis": "receptive_field", "model": model}, **coords)
    maps = np.full((count, 8, 8), 1 / 64)
    return result.assign(map=(("layer", "row", "col"), maps), box=("layer", boxes))


def test_radii_of_the_gradient():
    first, second, maps = receptive_field.figures([radii("a", [3.0, 6.0, 99.0])])
    np.testing.assert_array_equal(by_name(first)["a"].y, [1, 2, 3])
    np.testing.assert_allclose(by_name(first)["a"].error, [0.1, 0.2, 0.3])
    even = by_name(first)["an even map"]
    distances = np.sort(np.hypot(*np.mgrid[-4:4, -4:4]).ravel())
    assert even.dashed and list(even.y) == [distances[31]] * 3
    box = by_name(second)["half of the theoretical box's side"]
    np.testing.assert_array_equal(box.y, [1.5, 3, np.nan])  # the last ends outside the image
    assert not box.line and first.y.unit == "px" and "90 %" in second.title
    assert maps.values.shape == (3, 8, 8)


def test_probes_along_the_blocks_and_of_tokens():
    names = ["stem", "blocks.0.attn", "blocks.0", "output"]
    accuracy = np.array([0.2, 0.4, np.nan, 0.9])
    attrs = {"analysis": "probe", "model": "vit", "chance": 0.1, "own_accuracy": 0.95}
    why = ["", "", "constant activations", ""]
    outputs = ["", "", "blocks.0", ""]
    result = along(names, {"accuracy": accuracy}, attrs, block_output=outputs, blank=why)
    (figure,) = probe.figures([result])
    lines = by_name(figure)
    np.testing.assert_array_equal(lines["vit"].y, [20, np.nan, 90])
    np.testing.assert_array_equal(lines["vit"].x, [0, 2, 3])
    np.testing.assert_allclose(lines["vit, layers within blocks"].y, [40])
    assert not lines["vit, layers within blocks"].line
    np.testing.assert_allclose(lines["vit, its own classifier"].y, [95, 95])
    assert [level.y for level in figure.levels] == [10] and figure.y.unit == "%"
    assert "No value: blocks.0 (constant activations)." in figure.caption
    tokens = np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.9, *[np.nan] * 4]])
    each = xr.Dataset(
        {"accuracy": (("layer", "token"), tokens), "accuracy_se": (("layer", "token"), tokens)},
        {"layer": ["blocks.0", "output"], "prefix": ("layer", [1, 0]),
         "rows": ("layer", [2, 0]), "columns": ("layer", [2, 0])},
        {"analysis": "probe", "model": "vit"},
    )  # fmt: skip
    curves, maps = probe.figures([each])
    lines = by_name(curves)
    np.testing.assert_allclose(lines["vit"].y, [30, 90])
    np.testing.assert_allclose([lines["vit"].low, lines["vit"].high], [[10, 90], [50, 90]])
    np.testing.assert_allclose(lines["vit, first token"].y, [10, np.nan])
    np.testing.assert_allclose(maps.values, [[[20, 30], [40, 50]]])
    assert maps.dims[0].names == ["blocks.0"] and maps.limits == pytest.approx((20, 50))


def test_checkpoints_against_the_first():
    cka = np.array([[1.0, 1.0], [0.9, np.nan]])
    dims = ("checkpoint", "layer")
    result = xr.Dataset(
        {"cka": (dims, cka), "cka_se": (dims, cka / 10)},
        {"checkpoint": ["before", "after"], "layer": ["blocks.0", "output"],
         "blank": (dims, [["", ""], ["", "did not fire"]])},
        {"analysis": "finetuning", "se_df": 9.0},
    )  # fmt: skip
    (figure,) = finetuning.figures([result])
    assert [each.name for each in figure.series] == ["after"] and not figure.ordered
    np.testing.assert_array_equal(figure.series[0].y, cka[1])
    assert figure.series[0].interval == pytest.approx(2.262, abs=1e-3)  # Student's t of 9
    assert figure.caption == "No value: output (did not fire)." and "before" in figure.title
    rename = {"layer": "attention_layer", "cka": "distance", "cka_se": "distance_se"}
    distance = result[["cka", "cka_se"]].drop_vars("blank").rename(rename)
    _, second = finetuning.figures([result.assign(distance.data_vars)])
    assert [each.name for each in second.series] == ["before", "after"]
    assert [each.colour for each in second.series] == [0, 1] and second.series[0].dashed
    with pytest.raises(InputError, match="no 'cka'"):
        finetuning.figures([result.drop_vars("cka")])


def test_labels_tell_results_of_one_model_apart():
    made = [xr.Dataset(attrs={"model": "vit", "pool": pool}) for pool in ("mean", "cls", "cls")]
    assert labels_of(made[:2]) == ["vit, pool mean", "vit, pool cls"]
    assert labels_of(made) == ["vit, pool mean (1)", "vit, pool cls (2)", "vit, pool cls (3)"]
    assert labels_of([made[0], made[1].assign_attrs(model="b")]) == ["vit", "b"]


@pytest.mark.parametrize(
    ("names", "title", "short"),
    [
        (["blocks.0.attn", "blocks.1.attn"], "layer: blocks.*.attn", ["0", "1"]),
        (["layer1.0", "layer2.1"], "layer", ["layer1.0", "layer2.1"]),
        (["conv1"], "layer", ["conv1"]),
    ],
)
def test_what_all_names_share_is_in_the_title(names, title, short):
    axis = layer_axis(names)
    assert (axis.title, axis.names) == (title, short)
