"""Skips, receptive fields, localisation, fine-tuning and dominant examples: in one pass together,
and the same numbers of several processes, of shares, of a run that was stopped, and of each alone.
"""

import numpy as np
import pytest
import torch
from gang import gang
from seen_work import COUNT, READERS, seen

import vitprobe
from vitprobe.errors import Stopped
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.partial import read_partial
from vitprobe.passes.share import Share


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As in the processes: others add up in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole():
    ((_, alone),) = gang(1, seen)
    return alone


def same(found, wanted, bits=False):
    """To 1e-11 of the values; of standard errors their squares, which are differences of sums."""
    assert [each.attrs["analysis"] for each in found] == [each.attrs["analysis"] for each in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        for name in theirs.variables:
            a, b = ours[name].values, theirs[name].values
            if bits or a.dtype.kind not in "f":
                assert ours[name].identical(theirs[name]), name
            elif name.endswith("_se"):
                np.testing.assert_allclose(a**2, b**2, rtol=1e-9, atol=1e-14, err_msg=name)
            else:
                np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-14, err_msg=name)
        for name in ("run", "examples", "notes"):
            assert ours.attrs[name] == theirs.attrs[name], name


def test_all_are_there(whole):
    kinds = [each.attrs["analysis"] for each in whole]
    pairs = ["skips", "receptive_field", "localization", "dominant"]
    assert sorted(kinds) == sorted([*pairs, *pairs, "finetuning"])
    for each in whole:
        for name in each:
            if each[name].dtype.kind == "f" and name.endswith("_se"):
                assert each[name].notnull().any(), (each.attrs["analysis"], name)


def test_sums_do_not_grow_with_the_examples():
    def shapes(count):
        readers = [make() for make in READERS.values()]
        seen(count=count, readers=readers)
        return {
            (type(reader).__name__, key, name): getattr(metric, name).shape
            for reader in readers
            for key, metric in reader.metrics.items()
            for name in metric._defaults
        }

    few, many = shapes(24), shapes(72)
    assert few == many and len(few) > 50


def test_two_processes_give_the_same(whole):
    for code, found in gang(2, seen):
        assert code == 0
        same(found, whole)


def test_shares_give_the_same(whole, tmp_path):
    paths = [tmp_path / f"{k}.partial" for k in range(3)]
    for k, path in enumerate(paths):
        assert seen(keeper=Keeper(path, Share(k, 3))) == []
    same(vitprobe.merge([paths[k] for k in (2, 0, 1)]), whole)


def test_a_stopped_run_goes_on(whole, tmp_path, stop_after):
    path = tmp_path / "x.partial"

    def end():
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Stopped)):
        seen(keeper=Keeper(path, every=1e-9), told=stop_after(4, end))
    assert 0 < len(read_partial(path).done) < COUNT // 8
    same(seen(keeper=Keeper(path, resume=True)), whole)


@pytest.mark.parametrize("name", READERS)
def test_each_alone_is_as_beside_the_others(whole, name):
    found = seen([name])
    beside = [each for each in whole if each.attrs["analysis"] == name]
    for ours, theirs in zip(found, beside, strict=True):
        for variable in theirs:
            a, b = ours[variable], theirs[variable]
            if a.dtype.kind == "f":  # attention is computed by another function while watched
                np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6, err_msg=variable)
            else:
                assert a.equals(b), variable


@pytest.mark.parametrize("name", READERS)
def test_a_tolerance_ends_each(tmp_path, name):
    keeper = Keeper(tmp_path / "x.partial", every=1e-9)
    found = seen([name], keeper=keeper, count=100, tolerance=50)
    for each in found:
        assert each.attrs["examples"] == 64 and each.attrs["tolerance"] == 50  # 8 batches
