"""How the tests are spread over processes (tests/workers.py)."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import workers

ROOT = Path(__file__).resolve().parents[1]
SOME = ["tests/csrc/test_small_inputs.py::a", "tests/test_lock.py::b", "tests/ptx/test_gram.py::c",
        "tests/test_files.py::d[x::y]", "tests/test_files.py::e", "tests/ptx/test_whole.py::f",
        "tests/csrc/test_ptxas.py::g"]  # fmt: skip


@pytest.fixture
def choose(monkeypatch):
    """choose(*words, ...) -> number of processes and how they are chosen; 4 cores."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setattr(workers, "cores", lambda: 4)

    def chosen(*words, numprocesses=None, dist="no", usepdb=False, benchmark=False, there=True):
        option = SimpleNamespace(
            numprocesses=numprocesses, dist=dist, tx=[], usepdb=usepdb, collectonly=False
        )
        option.benchmark = benchmark
        plugins = SimpleNamespace(hasplugin=lambda name: there)
        workers.choose(SimpleNamespace(option=option, pluginmanager=plugins, args=words))
        return option.numprocesses, option.dist

    return chosen


def test_what_is_named_here_is_there():
    for start in [*workers.TOGETHER, *(name for name in workers.FIRST if "/" in name)]:
        assert list(ROOT.glob(f"{start}*")), start


def test_a_group_runs_together_and_in_order():
    items = [SimpleNamespace(nodeid=nodeid) for nodeid in SOME]
    workers.order(items)
    assert "".join(item.nodeid.partition("::")[2][0] for item in items) == "gcfadeb"
    assert workers.group(SOME[2]) == workers.group(SOME[5]) != workers.group(SOME[0])


def test_folders_are_spread_and_files_are_not(choose, monkeypatch):
    folder, file = str(ROOT / "tests" / "ptx"), f"{__file__}::test_a_group"
    assert choose(folder) == (4, "loadgroup")
    assert choose(file) == choose(folder, file) == (None, "no")
    assert choose(file, numprocesses=3) == (3, "loadgroup")
    assert choose(folder, numprocesses=3, dist="loadfile") == (3, "loadfile")
    assert choose(folder, numprocesses=0) == (0, "no")
    assert choose(folder, usepdb=True) == choose(folder, benchmark=True) == (None, "no")
    assert choose(folder, there=False) == (None, "no")
    monkeypatch.setattr(workers, "cores", lambda: 64)
    assert choose(folder) == (workers.MOST, "loadgroup")
    monkeypatch.setattr(workers, "cores", lambda: 1)
    assert choose(folder) == (0, "no")


def test_a_process_starts_no_others(choose, monkeypatch):
    """xdist calls the same hook in each of them; and a test's own pytest is one of them."""
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert choose(str(ROOT / "tests")) == (None, "no")


def test_all_have_a_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(workers, "cores", lambda: 6)
    assert [workers.share(count) for count in (1, 2, 4, 8)] == [6, 3, 1, 1]
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "3")
    assert workers.jobs() == 2
