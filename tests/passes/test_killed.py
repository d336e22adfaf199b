"""A run that was killed and gone on with gives what one gives that was not: bit for bit."""

import random
import signal

import pytest
from gang import gang
from pass_kills import results

from vitprobe.passes.partial import read_partial

KILLS, COUNT = 20, 240


def assert_same_bits(ours, theirs):
    """All variables, and all attributes but the seconds."""
    for one, other in zip(ours, theirs, strict=True):
        attributes = [
            {key: value for key, value in each.attrs.items() if not key.startswith("seconds_")}
            for each in (one, other)
        ]
        assert attributes[0] == attributes[1]
        assert one.drop_attrs(deep=False).identical(other.drop_attrs(deep=False))


@pytest.mark.parametrize("analysis", ["cka", "attention"])
def test_killed_twenty_times(analysis, tmp_path):
    ((code, whole),) = gang(1, results, analysis, COUNT, str(tmp_path / "whole"))
    assert code == 0 and whole[0].attrs["examples"] == COUNT
    path, where = tmp_path / "cut" / "x.partial", tmp_path / "cut" / "where"
    path.parent.mkdir()
    chance, places, done = random.Random(analysis), set(), [0]
    for _ in range(KILLS):
        ((code, _),) = gang(1, results, analysis, COUNT, str(path), chance.randint(4, 30))
        assert code == -signal.SIGKILL
        places.add(where.read_text())
        if path.exists():
            done.append(len(read_partial(path).done))
    assert done == sorted(done) and len(set(done)) > 8, done  # what is there is never lost
    assert len(places) >= 4, places
    ((code, found),) = gang(1, results, analysis, COUNT, str(path))
    assert code == 0
    assert_same_bits(found, whole)
