"""Names shortened together: no wider than asked, distinct as before, with their ends."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe.figures.names import both_ends, short_names

WORDS = st.sampled_from(["blocks", "attn", "proj", "encoder", "layer", "norm", "mlp", "fc"])
PARTS = st.one_of(WORDS, st.integers(0, 30).map(str), st.tuples(WORDS, WORDS).map("_".join))
NAMES = st.lists(PARTS, min_size=1, max_size=7).map(".".join)


def shapes(count):
    """Names of a model: the same words around numbers that differ."""
    inside = ("norm1", "attn.qkv", "attn.proj", "attn.proj_drop", "mlp.fc1", "mlp.fc2")
    return [f"encoder.stages.{i % 4}.blocks.{i}.{name}" for i in range(count) for name in inside]


@settings(max_examples=300, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=12), st.integers(1, 60))
def test_every_name_fits_and_keeps_its_end(names, longest):
    short = short_names(names, longest, len)
    assert len(short) == len(names)
    for name, text in zip(names, short, strict=True):
        if len(name) <= longest:
            assert text == name
            continue
        assert "…" in text and len(text) <= longest
        if longest >= 4:
            assert text[-1] == name[-1]
        rest = name  # what is kept stands in the name, in this order
        for kept in text.split("…"):
            assert kept in rest
            rest = rest[rest.index(kept) + len(kept) :]
    for i, name in enumerate(names):  # the same name has the same text
        assert short[names.index(name)] == short[i]


@settings(max_examples=300, deadline=None)
@given(st.lists(NAMES, min_size=2, max_size=12, unique=True), st.integers(0, 40))
def test_distinct_names_stay_distinct_where_their_differences_fit(names, more):
    pieces = [re.findall(r"[\W_]*[a-z]+|[\W_]*\d+", name)[::-1] for name in names]
    longest = max(map(len, pieces))
    padded = [[*own, *[""] * (longest - len(own))] for own in pieces]
    differ = [place for place in range(longest) if len({own[place] for own in padded}) > 1]
    # what is needed: the last word and each difference, with an ellipsis before it
    width = max(
        len(own[0]) + 1 + sum(1 + len(own[place]) for place in differ if place) for own in padded
    )
    short = short_names(names, width + more, len)
    assert len(set(short)) == len(names), list(zip(names, short, strict=True))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 13), st.integers(22, 60))
def test_the_layers_of_a_model_stay_distinct(count, longest):
    names = shapes(count)
    assert len(set(short_names(names, longest, len))) == len(names)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=6), st.integers(1, 20))
def test_any_text_at_all_fits(names, longest):
    assert all(len(text) <= max(longest, 1) for text in short_names(names, longest, len))


@pytest.mark.parametrize(
    ("longest", "expected"),
    [
        (31, ["encoder.layers.encoder_layer_9", "encoder.layers.encoder_layer_11", "head"]),
        (24, ["…layers.encoder_layer_9", "…layers.encoder_layer_11", "head"]),
        (16, ["…encoder_layer_9", "…layer_11", "head"]),
        (4, ["…9", "…11", "head"]),
    ],
)
def test_what_is_common_goes_first(longest, expected):
    names = ["encoder.layers.encoder_layer_9", "encoder.layers.encoder_layer_11", "head"]
    assert short_names(names, longest, len) == expected


def test_what_differs_before_a_common_end_is_kept():
    names = [f"stages.{s}.blocks.{b}.attn_block.attn" for s in range(2) for b in (1, 12)]
    ends = ("…0…1", "…0…12", "…1…1", "…1…12")
    assert short_names(names, 24, len) == [f"{end}.attn_block.attn" for end in ends]
    assert short_names(names, 11, len) == [f"{end}…attn" for end in ends]


def test_no_number_is_cut():
    names = [f"encoder.layer.{i}.attention.output" for i in (1, 11, 111)]
    for longest in range(14, 34):
        for text, i in zip(short_names(names, longest, len), (1, 11, 111), strict=True):
            assert re.search(r"\d+", text)[0] == str(i)


def test_a_word_wider_than_its_place_keeps_its_end():
    assert short_names(["a." + "x" * 40 + "y"], 10, len) == ["…" + "x" * 8 + "y"]


def test_both_ends_of_a_text():
    assert both_ends("a_factory_of_models", lambda text: len(text) <= 9) == "a_fa…dels"
    assert both_ends("short", lambda text: len(text) <= 9) == "short"
