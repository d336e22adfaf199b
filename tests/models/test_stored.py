"""What a file says beside its weights is checked for type and range before it is used."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitprobe.errors import InputError
from vitprobe.models import stored

FILE = Path("w.pt")
HALF = ((0.5,) * 3, (0.25,) * 3)
# What a pickle or JSON can hold.
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.builds(lambda: 10**6000),  # which hypothesis itself could not print
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=3),
        st.complex_numbers(),
        st.sampled_from(["vit", "os:abort", "resnet18(a=1)", "hf:a/b"]),
        st.just(torch.zeros(1).expand(2**40)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = ("settings", "architecture", "image_size", "class_names", "normalization", "mean", "std")


@pytest.mark.parametrize(
    "name",
    [
        *("payload:make", "os:abort", "hf:a/b", "hf-hub:a/b", "local-dir:.", "hf_hub:a/b"),
        *("torchvision:os:abort", " os:abort", "os:abort@x", "a.b:c(d=1)", "local-dir:/x(a=1)"),
    ],
)
def test_a_file_chooses_no_code_and_no_network(name):
    with pytest.raises(InputError, match="type it: model=") as caught:
        stored.model_name({"settings": {"model": name}}, FILE)
    assert "w.pt says that its model is" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18(checkpoint_path='x')", "resnet18(pretrained=True)", "resnet18(cache_dir='x')"),
        *("torchvision:resnet18(weights='DEFAULT')", "vit_tiny(img_size=1000000)", "vit(**a)"),
        *("vit(", "", "x" * 500, "resnet18(depth=" + "9" * 150 + ")"),
    ],
)  # fmt: skip
def test_nor_other_files_or_sizes(name):
    if not name:
        assert stored.model_name({"settings": {"model": name}}, FILE) is None
        return
    with pytest.raises(InputError, match="give model=NAME"):
        stored.model_name({"settings": {"model": name}}, FILE)


def test_names_of_ours_timms_and_torchvisions():
    for name in ("vit", "resnet18", "torchvision:vit_b_16", "vit_tiny_patch16_224(img_size=32)"):
        assert stored.model_name({"settings": {"model": name}}, FILE) == name
    name = "vit_tiny_patch16_224(img_size=32,global_pool='avg',drop_path_rate=0.1)"
    assert stored.model_name({"settings": {"model": name}}, FILE) == name
    assert stored.model_name({"settings": {"model": "vit@other.pt"}}, FILE) == "vit"
    for held in ({}, {"settings": 3}, {"settings": {"model": 7}}, {"settings": {"model": None}}):
        assert stored.model_name(held, FILE) is None


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        (0.5, 0.25, HALF),
        ([0.5], (0.25,), HALF),
        ([[[0.5]], [[0.5]], [[0.5]]], np.full((1, 3, 1, 1), 0.25), HALF),
        (torch.full((3,), 0.5), [0.25] * 3, HALF),
        (0, 1, ((0.0,) * 3, (1.0,) * 3)),
        (0, [1 / 255] * 3, ((0.0,) * 3, (1 / 255,) * 3)),
        ([0.5] * 3, [1e-300] * 3, None),
        ([0.5] * 3, [0.0] * 3, None),
        ([0.5] * 3, [-0.25] * 3, None),
        ([1e30] * 3, [0.25] * 3, None),
        ([123.7, 116.3, 103.5], [58.4, 57.1, 57.4], None),
        ([float("nan")] * 3, [0.25] * 3, None),
        ([0.5, 0.5], [0.25] * 3, None),
        ([0.5] * 4, [0.25] * 4, None),
        ([True] * 3, [0.25] * 3, None),
        ("0.5", "0.25", None),
        pytest.param(10**6000, 0.25, None, id="many digits"),
        (torch.zeros(1).expand(2**40), torch.ones(1).expand(2**40), None),
        (torch.ones(3, dtype=torch.complex64), [0.25] * 3, None),
    ],
)
def test_normalisation(mean, std, expected):
    for held in ({"mean": mean, "std": std}, {"normalization": {"mean": mean, "std": std}}):
        assert stored.normalization(held) == expected
        assert bool(stored.ignored(held)) == (expected is None)


def test_a_list_in_itself_and_one_in_another_and_so_on():
    endless: list = []
    endless.append(endless)
    deep: list = [0.5]
    for _ in range(100_000):
        deep = [deep]
    for value in (endless, deep):
        assert stored.normalization({"mean": value, "std": value}) is None
        [line] = stored.ignored({"mean": value, "std": value})
        assert len(line) < 400


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ([32, 48], (32, 48)),
        ([2**31, 2**31], None),
        ([0, 32], None),
        ([True, True], None),
        ([32.0, 32.0], None),
        ([32], None),
        (32, None),
    ],
)
def test_image_sizes(size, expected):
    assert stored.image_size({"image_size": size}) == expected


def test_class_names_and_data():
    assert stored.class_names({"class_names": ["a", "b"]}) == ["a", "b"]
    for wrong in (["a", 3], "ab", {"a": 1}, None):
        assert stored.class_names({"class_names": wrong}) is None
    assert stored.dataset({"settings": {"dataset": "digits"}}) == "digits"
    assert stored.dataset({"settings": {"dataset": []}}) == ""


def test_options():
    held = {"heads": 2, "dropout": 0.1, "depth": 10**6, "dim": 10**6000, "pool": ["cls"]}
    told = stored.options({"architecture": held}, "heads", "dropout", "depth", "dim", "pool")
    assert {key: each.value for key, each in told.items()} == {"heads": 2, "dropout": 0.1}
    assert told["heads"].because and not told["dropout"].because


@given(held=st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_anything_at_all(held):
    said = stored.ignored(held)
    assert all(len(line) < 500 for line in said)
    normalization = stored.normalization(held)
    assert normalization is None or all(1e-3 <= number <= 10 for number in normalization[1])
    stored.class_names(held), stored.dataset(held), stored.image_size(held)
    stored.options(held, "heads", "dim", "dropout", "pool", "depth")
    try:
        name = stored.model_name(held, FILE)
    except InputError:
        return
    assert name is None or ":" not in name
