"""Every choice of a run is of its type and range, or one line that names it."""

import math
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitprobe.errors import InputError
from vitprobe.training.augment_options import AugmentOptions
from vitprobe.training.resolve import resolve
from vitprobe.training.settings import NAMES, Settings, typed

# What TOML can hold.
WRONG = st.one_of(
    st.integers(),
    st.builds(lambda: 10**6000),  # which hypothesis itself could not print
    st.floats(),
    st.text(max_size=5),
    st.booleans(),
    st.dates(),
    st.lists(st.one_of(st.integers(), st.text(max_size=2), st.floats()), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.builds(lambda: [[[[]]] * 1000]),
)
GIVEN = {"mode": "scratch", "model": "vit", "dataset": "digits", "device": "cpu"}


def made(**changed):
    """Settings, or None where they are refused in one line that names a changed one."""
    try:
        found = resolve(None, GIVEN | changed)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000
        return str(error)
    assert all(not isinstance(v, float) or math.isfinite(v) for v in found.as_dict().values())
    return found


@pytest.mark.parametrize("key", NAMES)
@settings(max_examples=12, deadline=None)
@given(value=WRONG)
def test_any_value_of_any_key(key, value):
    found = made(**{key: value})
    if isinstance(found, Settings):
        kept = getattr(found, key)
        assert type(kept) is type(value) or (type(kept), type(value)) == (float, int)
    elif not isinstance(value, str):  # of a text that is wrong the message may name what it lacks
        assert key in found


@pytest.mark.parametrize("key", [field.name for field in fields(AugmentOptions)])
@settings(max_examples=12, deadline=None)
@given(value=WRONG)
def test_any_value_of_any_augmentation(key, value):
    found = made(augment={key: value})
    assert isinstance(found, Settings) or key in found


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("lr", "nan"),
        ("lr", "inf"),
        ("lr", "-1"),
        ("lr", "'0.1'"),
        ("lr", "0x" + "f" * 6000),
        ("epochs", "9223372036854775808"),
        ("epochs", "true"),
        ("seed", "18446744073709551616"),
        ("depth", "1000000"),
        ("image_size", "1000000"),
        ("batch_size", "[]"),
        ("dataset", "[]"),
        ("dataset", "''"),
        ("dataset", "{ name = 'digits' }"),
        ("test_dataset", "''"),
        ("mode", "['scratch']"),
        ("optimizer", "[['adamw']]"),
        ("scheduler", "{}"),
        ("pool", "[]"),
        ("recipe", "1979-05-27"),
        ("data_dir", "07:32:00"),
        ("data_dir", '"a\\u0000b"'),
        ("model_name", '"\\u0000"'),
        ("augment", "3"),
        ("augment", "[]"),
        ("clip_grad", "inf"),
        ("workers", "100000"),
        ("compile", "1"),
    ],
)
def test_a_config_that_makes_no_sense_names_the_key(tmp_path, key, text):
    path = tmp_path / "run.toml"
    path.write_text(f"{key} = {text}\n")
    with pytest.raises(InputError, match=key) as caught:
        resolve("scratch", {}, str(path))
    assert "\n" not in str(caught.value)
    other = f"batch_size = 2\nepochs = 1\noptimizer = 'adam'\nlr = 0.1\n{key} = {text}\n"
    lines = [line for line in other.splitlines()[:-1] if not line.startswith(f"{key} =")]
    path.write_text("\n".join([*lines, f"{key} = {text}"]))
    with pytest.raises(InputError, match=key):
        resolve("scratch", {"recipe": str(path)})


def test_unknown_tables_and_keys_said_twice(tmp_path):
    path = tmp_path / "run.toml"
    for text, said in {
        "[model]\nname = 'vit'\n": "run.toml: model must be of type str",
        "[modell]\n": "unknown option 'modell' in .*did you mean 'model'",
        "[[epochs]]\n": "run.toml: epochs must be of type int",
        "batch-size = 2\nbatch_size = 3\n": "says batch_size twice",
        '"a\\u001b[2J" = 1\n': r"unknown option 'a\\x1b\[2J'",
    }.items():
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            resolve("scratch", {}, str(path))


@pytest.mark.parametrize("folder", ["~nosuchuser/x", "a\0b", " "])
def test_paths_that_are_none(folder):
    with pytest.raises(InputError, match="data_dir"):
        resolve("scratch", {"data_dir": folder})


def test_whole_numbers_pass_for_others():
    assert typed("lr", 1) == 1.0 and type(typed("lr", 1)) is float
    with pytest.raises(InputError, match="epochs must be of type int, got 1.0"):
        typed("epochs", 1.0)
