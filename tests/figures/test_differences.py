"""The first of two results minus the second: values, colours around 0, errors, what is left out."""

import numpy as np
import pytest
from attention_results import maxvit, swin, vit
from drawn import check_texts, texts

from vitprobe.errors import InputError
from vitprobe.figures import plot


def words(figure):
    return " ".join(text.get_text() for text in texts(figure)[0])


@pytest.fixture
def two(make_result, sites):
    """One pair of models twice, with other values."""
    first = make_result(sites["small"], sites["resnet18"][:14], model_a="early")
    second = make_result(sites["small"], sites["resnet18"][:14], model_a="late")
    second["cka"] = second["cka"] * np.linspace(0.5, 1.2, 14)
    second["cka_se"] = second["cka_se"] + 0.01
    return first, second


def test_values_and_colours_around_zero(two):
    first, second = two
    figure = plot(first, second, difference=True)
    check_texts(figure)
    expected = (first["cka"] - second["cka"]).values
    image = figure.axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), expected, atol=1e-12)
    largest = np.abs(expected).max()
    assert image.get_clim() == pytest.approx((-largest, largest))
    white = image.cmap(image.norm(0.0))
    assert min(white[:3]) > 0.95
    red, blue = image.cmap(image.norm(largest)), image.cmap(image.norm(-largest))
    assert red[0] > red[2] and blue[2] > blue[0]
    assert figure.axes[0].get_ylabel() == "early minus late"
    assert figure.axes[0].get_xlabel() == "resnet18"


def test_the_error_is_the_root_of_the_sum_of_squares(two):
    first, second = two
    most = np.sqrt(first["cka_se"] ** 2 + second["cka_se"] ** 2).max().item()
    said = words(plot(*two, difference=True))
    assert f"standard errors up to {most:.2g} (root of the sum of squares)" in said
    assert "too large where both saw the same images" in said
    first, second = (each.assign_attrs(split="test") for each in two)
    elsewhere = second.assign_attrs(dataset="cifar10")
    said = words(plot(first, elsewhere, difference=True))
    assert "root of the sum" in said and "same images" not in said
    assert "digits (test) minus cifar10" in said
    assert "standard" not in words(plot(first.drop_vars("cka_se"), second, difference=True))


def test_layers_are_matched_by_name(two):
    first, second = two
    turned = second.isel(layer_a=slice(None, None, -1), layer_b=slice(3, None))
    figure = plot(first.isel(layer_a=slice(1, None)), turned, difference=True)
    shown = figure.axes[0].images[0].get_array()
    expected = (first["cka"] - second["cka"]).values[1:, 3:]
    np.testing.assert_allclose(shown, expected, atol=1e-12)
    said = words(figure)
    assert "only late has 1 more layer: patch_embed.proj" in said
    assert "only the first resnet18 has 3 more layers: conv1, bn1, act1" in said
    check_texts(figure)


def test_nothing_in_common_is_refused(two, make_result, sites):
    other = make_result(sites["long"], sites["resnet18"], model_a="long")
    with pytest.raises(InputError, match="no layer that early and long have in common") as error:
        plot(two[0], other, difference=True)
    assert "patch_embed.proj" in str(error.value) and "encoder.end0" in str(error.value)
    with pytest.raises(InputError, match="takes two results, not 1"):
        plot(two[0], difference=True)
    with pytest.raises(InputError, match="takes two results, not 3"):
        plot(*two, two[0], difference=True)


def test_two_that_are_the_same_have_no_colour(two):
    first = two[0]
    first["cka"][2, 3] = np.nan
    figure = plot(first, first.copy(), difference=True)
    shown = figure.axes[0].images[0].get_array()
    assert shown.mask.sum() == 1 and (shown.compressed() == 0).all()
    assert "no value in one of the two" in words(figure)
    check_texts(figure)


def test_attention_by_head_and_depth():
    first, second = vit(6, 4, model="early"), vit(6, 4, model="late", seed=1, spread=0.4)
    figure = plot(first, second, difference=True)
    check_texts(figure)
    shown = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, (first["distance"] - second["distance"]).values)
    assert figure.axes[0].get_ylabel() == "early minus late"
    assert figure.axes[0].get_xlabel() == "head"
    assert figure.axes[1].get_ylabel() == "difference (px)"
    most = np.hypot(first["distance_se"], second["distance_se"]).max().item()
    assert f"standard errors up to {most:.2g} px" in words(figure)


def test_attention_in_another_unit_and_of_fewer_heads():
    first, second = vit(6, 4), vit(8, 3, seed=1, model="other")
    figure = plot(first, second, difference=True, normalize="uniform", layers="blocks.[1-9].*")
    uniform = first["distance_uniform"].values[0]
    expected = (first["distance"].values[1:, :3] - second["distance"].values[1:6, :3]) / uniform
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), expected)
    assert "only other has 2 more layers: blocks.6.attn, blocks.7.attn" in words(figure)
    check_texts(figure)


@pytest.mark.parametrize("make", [maxvit, swin])
def test_attention_of_many_layers_can_be_read(make):
    figure = plot(make(), make(seed=1) if make is swin else make(), difference=True)
    check_texts(figure)


def test_attention_of_other_layers_is_refused():
    with pytest.raises(InputError, match="no difference to draw"):
        plot(vit(6, 4), swin(), difference=True)
