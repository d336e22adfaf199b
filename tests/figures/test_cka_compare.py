"""All pairs of some models in one figure: what stands where, and whether it can be read."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from drawn import check_texts, texts

from vitprobe.errors import InputError
from vitprobe.figures import plot


def pairs(make, *models):
    """A result of every pair; models: (label, sites)."""
    return [
        make(of_a, of_b, model_a=a, model_b=b, seed=0)
        for (a, of_a), (b, of_b) in combinations_with_replacement(models, 2)
    ]


@pytest.fixture(scope="session")
def runs(make_result, sites):
    """Name -> the results of a run."""
    vit, resnet18, resnet50, swin = (sites[k] for k in ("vit", "resnet18", "resnet50", "swin"))
    small, long = sites["small"], sites["long"]
    blank = pairs(make_result, ("a", small), ("b", small))
    blank[1]["cka"][3] = np.nan
    return {
        "one and itself": pairs(make_result, ("vit@early.pt", small), ("vit@late.pt", small)),
        "vit, resnet18, resnet50": pairs(
            make_result, ("vit", vit), ("resnet18", resnet18), ("resnet50", resnet50)
        ),
        "six": pairs(make_result, *((f"vit@runs/epoch_{k}.pt", vit) for k in range(6))),
        "swin and a long label": pairs(
            make_result, ("swin_tiny_patch4_window7_224@" + "x" * 50, swin), ("resnet50", resnet50)
        ),
        "long names": pairs(make_result, ("a", long), ("b", long), ("c", resnet18)),
        "blank": blank,
        "a pair is missing": pairs(make_result, ("a", small), ("b", small), ("c", small))[:-2],
    }


NAMES = (
    *("one and itself", "vit, resnet18, resnet50", "six", "swin and a long label"),
    *("long names", "blank", "a pair is missing"),
)


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_read_and_fits_a_page(runs, name):
    figure = plot(*runs[name])
    check_texts(figure)
    width, height = figure.get_size_inches()
    assert width <= 7.5 and height <= 9


@pytest.mark.parametrize("name", NAMES)
def test_a_lower_triangle_with_one_colour_bar(runs, name):
    results = runs[name]
    models = len({result.attrs[f"model_{side}"] for result in results for side in "ab"})
    figure = plot(*results)
    maps = [axes for axes in figure.axes if axes.images]
    assert len(maps) == len(results)
    assert len(figure.axes) == models * (models + 1) // 2 + 1
    bars = [axes for axes in figure.axes if axes.get_ylabel().startswith("CKA")]
    assert len(bars) == 1 and bars[0].get_ylabel() == "CKA (unbiased)"
    assert {image.get_clim() for axes in maps for image in axes.images} == {(0.0, 1.0)}


def test_the_later_model_is_the_row(runs):
    results = runs["vit, resnet18, resnet50"]
    figure = plot(*results)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    first, crossed, _, second = results[:4]
    np.testing.assert_allclose(shown[0], first["cka"], atol=1e-6)
    np.testing.assert_allclose(shown[1], crossed["cka"].T, atol=1e-6)
    np.testing.assert_allclose(shown[2], second["cka"], atol=1e-6)
    down = [axes.get_ylabel() for axes in figure.axes if axes.images and axes.get_ylabel()]
    across = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert down == across == ["vit", "resnet18", "resnet50"]


def test_the_order_of_two_models_in_a_result_does_not_matter(runs):
    first, crossed, second = runs["one and itself"]
    kinds = ("layer", "block", "type", "features", "blank")
    sides = {f"{kind}_{a}": f"{kind}_{b}" for kind in kinds for a, b in ("ab", "ba")}
    turned = crossed.rename(sides).assign_attrs(
        model_a=crossed.attrs["model_b"], model_b=crossed.attrs["model_a"]
    )
    one, other = (plot(first, each, second) for each in (crossed, turned))
    for a, b in zip(one.axes, other.axes, strict=True):
        for image, same in zip(a.images, b.images, strict=True):
            np.testing.assert_array_equal(image.get_array(), same.get_array())


def test_a_pair_without_result_is_left_empty(runs):
    words = [text.get_text() for text in texts(plot(*runs["a pair is missing"]))[0]]
    assert words.count("no result") == 2


def test_two_results_of_one_pair_are_refused(runs):
    results = runs["one and itself"]
    with pytest.raises(InputError, match="two results are of vit@early.pt and vit@late.pt.*differ"):
        plot(*results, results[1])


def test_one_model_looked_at_in_two_ways_is_two_rows(make_result, sites):
    first, second = sites["small"], sites["resnet18"]
    results = pairs(make_result, ("vit", first), ("vit", second))
    figure = plot(*results, labels=["cls", "mean"])
    assert [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()] == ["cls", "mean"]


def test_what_differs_between_the_results_is_said(runs):
    first, crossed, second = runs["one and itself"]
    second = second.assign_attrs(dataset="cifar10", model_a_weights="random")
    first = first.assign_attrs(model_a_weights="digits", tokens_a="cls", tokens_b="cls")
    words = " ".join(text.get_text() for text in texts(plot(first, crossed, second))[0])
    assert "digits (test), cifar10" in words
    assert "weights that ship with vitprobe (vit@early.pt)" in words
    assert "random weights (vit@late.pt)" in words
    assert "tokens: cls (vit@early.pt), all (vit@early.pt, vit@late.pt)" in words
