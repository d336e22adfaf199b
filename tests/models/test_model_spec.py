"""The grammar NAME[@WEIGHTS]."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitprobe.errors import InputError
from vitprobe.models.spec import parse_spec

names = st.text(st.characters(exclude_characters="@(", exclude_categories=["Z", "C"]), min_size=1)
files = st.text(st.characters(exclude_characters="#", exclude_categories=["Z", "C"]), min_size=1)


@given(name=names, weights=files)
def test_splits_at_the_first_at_sign(name, weights):
    spec = parse_spec(f"{name}@{weights}")
    assert (spec.name, spec.weights) == (name, weights)


def test_no_weights_means_random():
    assert parse_spec("vit") == parse_spec(" vit@random ")
    assert parse_spec("vit").path is None
    assert parse_spec("vit@pretrained").path is None


def test_a_file_may_hold_at_signs_and_a_home():
    assert parse_spec("vit@runs/a@b/best.pth").path == Path("runs/a@b/best.pth")
    assert parse_spec("vit@~/best.pth").path == Path.home() / "best.pth"


@pytest.mark.parametrize("text", ["", "@", "@weights.pth", "vit@", "  "])
def test_an_empty_part_is_refused(text):
    with pytest.raises(InputError, match="has no name|has nothing after '@'"):
        parse_spec(text)
