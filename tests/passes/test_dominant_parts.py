"""Dominant examples of a run that is divided, stopped or repeated are those of one that is not."""

import numpy as np
import pytest
from dominant_work import COUNT, dominant, in_a_process
from gang import gang

import vitprobe
from vitprobe.errors import Stopped
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.partial import read_partial
from vitprobe.passes.share import Share

WHOLE = ("examples", "label", "thumbnail", "layer_example")


@pytest.fixture(scope="module")
def whole():
    return dominant()[0]


def same(found, wanted, bits=False):
    """Lists of examples bit for bit; sums to rounding, unless the batches came in their order."""
    for name in (*WHOLE, "score", "layer_norm"):
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)
    assert found.attrs["examples_left_out"] == wanted.attrs["examples_left_out"]
    if bits:
        assert found.drop_attrs(deep=False).identical(wanted.drop_attrs(deep=False))
    for name in ("cka", "cka_without", "first_share"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-12, err_msg=name)
        errors = [each[f"{name}_se"].values ** 2 for each in (found, wanted)]
        np.testing.assert_allclose(*errors, rtol=1e-9, atol=1e-14, err_msg=name)


def test_it_finds_the_bright_ones(whole):
    bright = set(range(0, COUNT, 9))
    assert set(whole["examples"].values[: len(bright)].tolist()) == bright
    assert whole["label"].values.tolist() == (whole["examples"].values % 5).tolist()


@pytest.mark.parametrize("processes", [2, 3])
def test_as_one_process(processes):
    ((_, alone),) = gang(1, in_a_process)
    for code, found in gang(processes, in_a_process):
        assert code == 0
        same(found, alone)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_merged_of_shares(whole, tmp_path, order):
    paths = [tmp_path / f"{k}.partial" for k in range(3)]
    for k, path in enumerate(paths):
        assert dominant(Keeper(path, Share(k, 3))) == []
    (found,) = vitprobe.merge([paths[k] for k in order])
    same(found, whole)


def test_gone_on_with(whole, tmp_path, stop_after):
    path = tmp_path / "x.partial"

    def end():
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Stopped)):
        dominant(Keeper(path, every=1e-9), stop_after(4, end))
    assert 0 < len(read_partial(path).done) < 9
    (found,) = dominant(Keeper(path, resume=True))
    same(found, whole, bits=True)


def test_passes_repeat_no_example(whole):
    (found,) = dominant(passes=2)
    numbers = found["examples"].values.tolist()
    assert len(set(numbers)) == len(numbers) == 12
    assert set(whole["examples"].values[:8].tolist()) == set(numbers[:8])
    assert found.attrs["examples"] == COUNT
    assert found.attrs["se_df"] == 8
