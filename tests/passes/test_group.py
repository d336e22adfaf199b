"""Several processes give what one gives, also when they are stopped, killed or have no batch."""

import signal

import numpy as np
import pytest
from gang import gang
from pass_work import results

from vitprobe.passes.partial import read_partial

SECONDS = "seconds_"


@pytest.fixture(scope="module")
def alone():
    """count of images -> the Datasets of one process, with as many threads as each of several."""
    found = {}

    def of(count):
        if count not in found:
            ((_, found[count]),) = gang(1, results, count)
        return found[count]

    return of


def same(found, wanted, bits=False):
    """To 1e-12 of the values; of standard errors their squares, which are differences of sums."""
    assert isinstance(found, list), found
    for ours, theirs in zip(found, wanted, strict=True):
        for name in theirs.variables:
            a, b = ours[name].values, theirs[name].values
            if bits or a.dtype.kind not in "f":
                assert ours[name].identical(theirs[name]), name
            elif name.endswith("_se"):
                np.testing.assert_allclose(a**2, b**2, rtol=1e-11, atol=1e-14, err_msg=name)
            else:
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=0, err_msg=name)
        for key, value in theirs.attrs.items():
            assert key.startswith(SECONDS) or ours.attrs[key] == value, key


@pytest.mark.parametrize(("processes", "count"), [(2, 21), (3, 21), (8, 13)])
def test_as_one_process(alone, processes, count):
    found = gang(processes, results, count)
    assert [code for code, _ in found] == [0] * processes
    for _, each in found:
        same(each, alone(count))
    assert found[0][1][1].attrs["examples"] == count


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_one_stops_and_saves_all(alone, tmp_path, number):
    path = str(tmp_path / "x.partial")
    found = gang(2, results, 40, path, (0, 2), number)
    word = "terminated" if number == signal.SIGTERM else "interrupted"
    assert [(code, said.split(";")[0]) for code, said in found] == [(0, word)] * 2
    assert len(read_partial(tmp_path / "x.partial").done) == 4
    same(gang(2, results, 40, path)[0][1], alone(40))


def test_killed_again_and_again(alone, tmp_path):
    """Also with another number of processes each time."""
    path, rng = tmp_path / "x.partial", np.random.default_rng(0)
    done = 0
    for turn in range(20):
        at = [0, 0]
        at[rng.integers(2)] = int(rng.integers(1, 3))
        codes = [code for code, _ in gang(2 + turn % 2, results, 160, str(path), tuple(at))]
        assert -signal.SIGKILL in codes
        if path.exists():
            now = len(read_partial(path).done)
            assert now >= done
            done = now
    assert done > 0
    (_, found), _ = gang(2, results, 160, str(path))
    same(found, alone(160))


def test_one_process_goes_on_where_two_were(alone, tmp_path):
    path = str(tmp_path / "x.partial")
    gang(2, results, 40, path, (2, 2), signal.SIGTERM)
    assert 0 < len(read_partial(tmp_path / "x.partial").done) < 10
    same(gang(1, results, 40, path)[0][1], alone(40))


def test_tolerance_ends_all_at_once():
    found = gang(2, results, 200, None, (), 0, 0.5)
    (_, first), (_, second) = found
    same(first, second, bits=True)
    assert 8 <= first[0].attrs["examples"] < 200
    assert first[0]["cka_se"].max() < 0.5
