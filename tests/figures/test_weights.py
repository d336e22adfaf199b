"""Every figure says what its weights are, in words, whole and without mistaking one for another."""

import numpy as np
import pytest
import xarray
from attention_results import vit
from drawn import check_texts
from matplotlib.text import Text

from vitprobe.figures import plot
from vitprobe.figures.attention_compare import compare
from vitprobe.figures.filters import filter_figure
from vitprobe.figures.positions import position_figure
from vitprobe.figures.style import wrap
from vitprobe.figures.weights import weights_facts, weights_words

BY = "package.module:" + "a_callable_" * 12


def maps():
    random = np.random.default_rng(0)
    shapes = {
        "attention": {"image": 1, "layer": 3, "head": 2, "row": 4, "col": 4},
        "rollout": {"image": 1, "layer": 3, "row": 4, "col": 4},
        "position_similarity": {"row": 4, "col": 4, "row2": 4, "col2": 4},
        "filters": {"filter": 5, "channel": 3, "filter_row": 4, "filter_col": 4},
        "components": {"component": 3, "channel": 3, "filter_row": 4, "filter_col": 4},
        "component_variance": {"component": 3},
    }
    values = {
        name: (list(dims), random.uniform(size=[*dims.values()])) for name, dims in shapes.items()
    }
    values["picture"] = ("image", "y", "x", "rgb"), np.zeros((1, 16, 16, 3), dtype=np.uint8)
    coords = {"image": ["one"], "layer": ["blocks.0", "blocks.1", "blocks.2"]}
    return xarray.Dataset(values, coords, {"analysis": "maps", "model": "vit"})


def head_subsets():
    cka = np.linspace(0.1, 0.9, 6).reshape(3, 2)
    values = dict.fromkeys(("cka", "cka_se"), (("subset", "layer"), cka))
    coords = {"size": ("subset", [1, 1, 2]), "layer": ["layer1", "layer2"]}
    names = {"analysis": "head_subsets", "model_a": "vit", "model_b": "resnet18"}
    return xarray.Dataset(values | {"distance": ("subset", [1.0, 2, 3])}, coords, names)


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("random", "random weights"),
        ("pretrained", "pretrained weights"),
        ("digits", "weights that ship with vitprobe"),
        ("runs/a/vit-digits.pt", "weights of vit-digits.pt"),
        ("as given", "weights as given"),
        ("as given by package.module:callable", "weights as given by package.module:callable"),
    ],
)
def test_words(weights, words):
    assert weights_words(weights) == words
    two = {
        "model_a": "vit",
        "model_a_weights": weights,
        "model_b": "b",
        "model_b_weights": "random",
    }
    assert weights_facts(two, ("model_a", "model_b")) == [f"vit: {words}", "b: random weights"]
    assert weights_facts(two | {"model_b": "vit"}, ("model_a", "model_a")) == [words]
    del two["model_b_weights"]  # of one nothing is known
    assert weights_facts(two, ("model_a", "model_b")) == [f"vit: {words}"]
    assert weights_facts({"model": "vit"}, ["model"]) == []


def test_long_labels_stay_distinct():
    attrs = {f"model_{side}": f"vit@{'folder/' * 9}{side}/{'x' * 9}.pt" for side in "ab"}
    attrs |= {"model_a_weights": "random", "model_b_weights": "random"}
    first, second = weights_facts(attrs, ("model_a", "model_b"))
    assert first != second and max(len(first), len(second)) < 70


@pytest.mark.parametrize(
    "draw",
    [
        lambda attrs: plot(vit(3, 2).assign_attrs(attrs)),
        lambda attrs: compare([vit(3, 2).assign_attrs(attrs)] * 2),
        lambda attrs: plot(maps().assign_attrs(attrs)),
        lambda attrs: position_figure(maps().assign_attrs(attrs)),
        lambda attrs: filter_figure(maps().assign_attrs(attrs)),
        lambda attrs: plot(head_subsets().assign_attrs(attrs)),
    ],
    ids=["attention", "compare", "maps", "positions", "filters", "head subsets"],
)
def test_figures_say_it_within_their_canvas(draw):
    keys = ("model", "model_a", "model_b")
    figure = draw({f"{key}_weights": f"as given by {BY}" for key in keys})
    assert figure.get_size_inches()[0] < draw({}).get_size_inches()[0] + 2
    renderer, (width, height) = figure.canvas.get_renderer(), figure.bbox.size
    found = [text for text in figure.findobj(Text) if "package" in text.get_text()]
    assert found and any("as given by" in text for text in texts(figure))
    for text in found:
        box = text.get_window_extent(renderer)
        assert min(box.x0, box.y0) >= 0 and box.x1 <= width and box.y1 <= height
    drawn = draw({f"{key}_weights": "random" for key in keys})
    assert any("random weights" in text for text in texts(drawn))


def test_files_of_one_name_are_said_under_each_model():
    given = [
        vit(3, 2, model=name).assign_attrs(model_weights=f"runs/{name}/last.pt") for name in "ab"
    ]
    found = [text for text in texts(compare(given)) if "weights of last.pt" in text]
    assert len(found) == 2


def cka(weights, labels=("vit", "net")):
    dims, values = ("layer_a", "layer_b"), np.eye(3)
    names = {dim: [f"{dim}.{i}" for i in range(3)] for dim in dims}
    attrs = {"analysis": "cka"}
    for side, label in zip("ab", labels, strict=True):
        attrs |= {f"model_{side}": label, f"model_{side}_weights": weights}
    return xarray.Dataset({"cka": (dims, values), "cka_se": (dims, values / 9)}, names, attrs)


@pytest.mark.parametrize("weights", ["random", "runs/" + "x" * 150 + ".pt", f"as given by {BY}"])
def test_figures_of_similarities_say_it_within_their_canvas(weights):
    for figure in (
        plot(cka(weights)),
        plot(cka(weights), cka(weights, ("vit", "vit"))),
        plot(cka(weights), cka(weights), difference=True),
    ):
        check_texts(figure)
        assert any(weights_words(weights)[:7] in text for text in texts(figure))


def test_two_sets_of_weights_of_one_name_are_both_said():
    said = " ".join(texts(plot(cka("a/first.pt"), cka("a/second.pt"), difference=True)))
    assert "first.pt" in said and "second.pt" in said


def test_what_is_said_once_is_so_of_all():
    result = cka("runs/last.pt").assign_attrs(
        model_a_weights_sha256="1", model_b_weights_sha256="2"
    )
    said = " ".join(texts(plot(result)))
    assert "weights of last.pt (vit)" in said and "weights of last.pt (net)" in said
    del result.attrs["model_b_weights"]  # of an older result, say
    assert any("weights of last.pt (vit)" in text for text in texts(plot(result)))
    assert any("random weights  ·" in text for text in texts(plot(cka("random"), title="")))


def test_examples_that_differ_are_said_under_each_model():
    found = texts(compare([vit(3, 2), vit(3, 2, model="b").assign_attrs(examples=24)]))
    assert "Attention  ·  digits" in found
    assert all(any(each in text for text in found) for each in ("360 examples", "24 examples"))


def test_lines_break_between_parts_then_between_words_then_inside():
    def measure(text, size):
        return size * len(text), size

    assert wrap(["ab", "cd", "efghi"], 9, 1, measure) == ["ab  ·  cd", "efghi"]
    assert wrap(["ab", "one two three"], 9, 1, measure) == ["ab", "one two", "three"]
    assert wrap(["a abcdefghijklm"], 5, 1, measure) == ["a", "ab…lm"]
