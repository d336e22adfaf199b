"""Some of a result's layers, and other names for its models."""

import numpy as np
import pytest
import xarray as xr
from attention_results import vit

from vitprobe.errors import InputError
from vitprobe.figures import plot
from vitprobe.figures.chosen import with_layers
from vitprobe.figures.relabelled import relabelled


@pytest.fixture
def result(make_result, sites):
    """ViT against ResNet-18, whose blocks hand on the tensor of their last activation."""
    held = make_result(sites["vit"], sites["resnet18"])
    names = [name for name in held["layer_b"].values if name not in held["block_b"].values]
    folded = [f"layer{stage}.{i}" for stage in (1, 2, 3, 4) for i in (0, 1)]
    held = held.sel(layer_b=names).assign_coords(folded_b=folded)
    held["folded_into_b"] = ("folded_b", [f"{name}.act2" for name in folded])
    types = ["Conv2d" if "conv" in name else "ReLU" for name in names]
    return held.assign_coords(type_b=("layer_b", types))


def names(result, layers):
    (chosen,) = with_layers([result], layers)
    return [chosen[f"layer_{side}"].values.tolist() for side in "ab"]


BLOCKS = [f"blocks.{i}" for i in range(12)]


@pytest.mark.parametrize(
    ("layers", "a", "b"),
    [
        ("blocks", [*BLOCKS, "output"], [f"layer{k // 2}.{k % 2}.act2" for k in range(2, 10)]),
        (["blocks.2", "conv1"], ["blocks.2"], ["conv1"]),
        (["layer1.0", "norm"], ["norm"], ["layer1.0.act2"]),
        (["blocks.*.mlp.fc1", "layer[12].0"], [f"{b}.mlp.fc1" for b in BLOCKS],
         ["layer1.0.act2", "layer2.0.act2"]),
        ([["norm", "head"], ["fc"]], ["norm", "head"], ["fc"]),
        (["output", "layer3.0.downsample"], ["output"],
         ["layer3.0.downsample.0", "layer3.0.downsample.1"]),
    ],
)  # fmt: skip
def test_words_names_globs_modules(result, layers, a, b):
    assert names(result, layers) == [a, b]


def test_types_and_all(result):
    a, b = names(result, [["all"], ["Conv2d"]])
    assert len(a) == result.sizes["layer_a"] and len(b) == 17 and all("conv" in name for name in b)


def test_the_figure_shows_them_alone(result):
    figure = plot(result, layers=["blocks.0", "blocks.1", "fc"])
    shown = figure.axes[0].images[0].get_array()
    expected = result["cka"].sel(layer_a=["blocks.0", "blocks.1"], layer_b=["fc"])
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_names_of_an_older_result_without_folds_and_types(result):
    old = result.drop_vars(["folded_into_b", "folded_b", "type_a", "type_b", "block_a", "block_b"])
    assert names(old, ["blocks.3", "layer1.1"])[1][0] == "layer1.1.conv1"
    figure = plot(old.drop_vars("cka_se").assign_attrs(tokens_a="all", tokens_b="all"))
    assert figure.axes[0].images


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ("blokcs", "no layer of this result matches 'blokcs'.*did you mean 'blocks'"),
        (["blocks", "Conv3d"], "matches 'Conv3d'.*did you mean 'Conv2d'"),
        ("norm", "layers='norm' leaves no layer of resnet18: name some of its own too"),
        ([["conv1"], ["conv1"]], "no layer of this result matches 'conv1'"),
        ([["all"], ["all"], ["all"]], "given 3 times: give it once, or once for rows"),
    ],
)
def test_what_is_not_there(result, layers, words):
    with pytest.raises(InputError, match=words):
        with_layers([result], layers)


def test_one_axis_of_layers():
    (chosen,) = with_layers([vit(6, 4)], "blocks.[0-2].attn")
    assert chosen["layer"].values.tolist() == [f"blocks.{i}.attn" for i in range(3)]
    assert with_layers([vit(6, 4)], "blocks")[0].sizes["layer"] == 6
    assert with_layers([vit(6, 4)], "blocks.3")[0]["layer"].values.tolist() == ["blocks.3.attn"]
    with pytest.raises(InputError, match="2 times: give it once$"):
        with_layers([vit(6, 4)], [["all"], ["all"]])


def test_a_result_without_layers():
    study = xr.Dataset({"accuracy": ("model", [0.5])}, attrs={"analysis": "compare_training"})
    with pytest.raises(InputError, match="results of compare_training have no layers"):
        with_layers([study], "all")


def test_labels_in_the_order_of_appearance(result):
    other = result.assign_attrs(model_a="deit")
    one, two = relabelled([result, other], ["A", "B", "C"])
    assert [one.attrs["model_a"], one.attrs["model_b"]] == ["A", "B"]
    assert [two.attrs["model_a"], two.attrs["model_b"]] == ["C", "B"]
    assert result.attrs["model_a"] == "vit"
    figure = plot(result, labels=["A", "B"])
    assert (figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()) == ("A", "B")


def test_results_of_one_model_have_a_label_each():
    one, two = relabelled([vit(6, 4), vit(6, 4)], ["seed 0", "seed 1"])
    assert (one.attrs["model"], two.attrs["model"]) == ("seed 0", "seed 1")
    (named,) = relabelled([vit(6, 4)], "mine")
    assert named.attrs["model"] == "mine"


def test_models_of_a_study():
    study = xr.Dataset({"accuracy": ("model", [0.5, 0.6])}, {"model": ["vit", "resnet18"]})
    assert relabelled([study], ["ours", "theirs"])[0]["model"].values.tolist() == ["ours", "theirs"]


def test_labels_that_do_not_fit(result):
    with pytest.raises(InputError, match="labels has 1 names for 2 models: vit, resnet18"):
        plot(result, labels=["A"])
