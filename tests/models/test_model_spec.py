"""The grammar NAME[@WEIGHTS]."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitprobe.errors import InputError
from vitprobe.models.spec import expand_files, parse_spec

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


@pytest.fixture
def epochs(tmp_path, monkeypatch):
    """Some files in the folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("run-2.pt", "run-10.pt", "run-1.pt", "other.pt", "a[1].pt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "run-3.pt").mkdir()


def test_a_pattern_of_files_is_one_spec_for_each(epochs):
    ordered = [f"vit(depth=2)@run-{number}.pt" for number in (1, 2, 10)]
    assert expand_files("vit(depth=2)@run-*.pt") == ordered
    assert expand_files("vit@run-1?.pt#ema") == ["vit@run-10.pt#ema"]
    assert expand_files("last=vit@./run-10*") == ["last=vit@./run-10.pt"]


@pytest.mark.parametrize(
    "text", ["vit", "vit(a=[1])@random", "early=vit@run-1.pt", "vit@a[1].pt", "vit@absent.pt", ""]
)
def test_other_specs_are_left_alone(epochs, text):
    assert expand_files(text) == [text]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vit@no-*.pt", "no file matches 'no-\\*.pt'"),
        ("mine=vit@run-*.pt", "'mine' would be the label of 3 files"),
    ],
)
def test_patterns_that_cannot_be(epochs, text, words):
    with pytest.raises(InputError, match=words):
        expand_files(text)
