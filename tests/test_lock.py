"""One process at a time; what a killed one held is taken over, and nothing else is."""

import os
import signal
import time

import pytest
from children import dead_process, ended, start

from vitprobe.errors import InputError
from vitprobe.lock import Lock
from vitprobe.owner import Owner, owner_of, scratch_path

HOLD = """
import sys, time
from vitprobe.lock import Lock
from pathlib import Path
with Lock(Path(sys.argv[1]), "the run", "name another"):
    print("held", flush=True)
    {}
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".run.lock"


def locked(path, **how):
    return Lock(path, "the run", "name another", **how)


def refusal(path):
    with pytest.raises(InputError) as raised, locked(path):
        pass
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_it_is_there_within_and_gone_after(path):
    with locked(path) as lock:
        assert Owner.read(path.read_text()) == Owner.own() and not lock.note
        assert os.listdir(path.parent) == [".run.lock"]
        assert f"in use by process {os.getpid()}: wait for it, or name another" in refusal(path)
    assert not os.listdir(path.parent)
    with pytest.raises(KeyboardInterrupt), locked(path):
        raise KeyboardInterrupt
    assert not os.listdir(path.parent)


def test_another_process_is_refused_until_it_ends(path):
    child = start(HOLD.format("time.sleep(60)"), path)
    assert child.stdout.readline() == "held\n"
    held = path.read_text()
    assert f"the run is in use by process {child.pid}: wait for it" in refusal(path)
    assert path.read_text() == held
    child.kill()
    time.sleep(0.1)
    with locked(path) as lock:  # it is not waited for yet: what is left of it counts for nothing
        assert lock.note == f"the run was left by process {child.pid}, which has ended"
    child.communicate()
    assert not path.exists()


def test_patience(path):
    child = start(HOLD.format("time.sleep(0.5)"), path)
    assert child.stdout.readline() == "held\n"
    with locked(path, patience=20.0) as lock:
        assert not lock.note
    child.communicate()


def test_a_number_that_another_process_has_now(path):
    own = Owner.own()
    for word, free in (
        (own.word, False),
        (Owner(own.pid, "1", own.space, own.host).word, True),
        (Owner(os.getppid(), "1", own.space, own.host).word, True),
        (Owner(dead_process(), "1", own.space, own.host).word, True),
        (Owner(own.pid, "", own.space, own.host).word, False),
    ):
        path.write_text(word)
        if free:
            with locked(path) as lock:
                assert "which has ended" in lock.note
        else:
            assert "in use by process" in refusal(path)


@pytest.mark.parametrize("host, space", [("elsewhere", None), (None, "1")])
def test_another_machine_is_never_taken_over(path, host, space):
    own = Owner.own()
    path.write_text(Owner(dead_process(), "1", space or own.space, host or own.host).word)
    line = refusal(path)
    assert f"on {host or own.host}, which cannot be seen from here" in line
    assert f"if it has ended, remove {path}; else name another" in line
    path.unlink()
    with locked(path):
        pass


@pytest.mark.parametrize("text", ["", "x", "9" * 5000, "0.1.2.a", "-1.1.1.a", "1.1.1.a\x1b[0m"])
def test_a_damaged_lock_is_another_process(path, text):
    path.write_text(text)
    assert f"in use by another process: if it has ended, remove {path}" in refusal(path)


def test_a_lock_that_is_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    assert "another process" in refusal(path)


def test_without_links(path, monkeypatch):
    def none(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    with locked(path):
        assert "in use by process" in refusal(path)
    assert not os.listdir(path.parent)


def test_a_lock_that_has_become_anothers_is_left(path):
    with locked(path):
        path.write_text("1.1.1.elsewhere")
    assert path.exists()


def test_a_child_does_not_release_it(path):
    code = HOLD.format("import os\n    if os.fork() == 0: sys.exit()\n    os.wait()\n")
    code += "    print(Path(sys.argv[1]).exists())"
    assert ended(code, path) == (0, "held\nTrue\n", "")
    assert not path.exists()


def test_of_many_that_see_a_stale_lock_one_gets_it(path):
    """Each adds a line on entering and one on leaving; nobody is within between another's two."""
    code = """
import sys, time
from vitprobe.errors import InputError
from vitprobe.lock import Lock
from pathlib import Path
path = Path(sys.argv[1])
log = open(path.with_name("log"), "a", buffering=1)
sys.stdin.readline()
for i in range(30):
    with Lock(path, "", "", patience=50.0):
        log.write(f"{sys.argv[2]}\\n")
        log.write(f"{sys.argv[2]}\\n")
        if i % 7 == 0:
            path.write_text(sys.argv[3])  # as if killed
"""
    own = Owner.own()
    stale = Owner(dead_process(), "1", own.space, own.host).word
    path.write_text(stale)
    children = [start(code, path, i, stale, stdin=-1) for i in range(3)]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        assert child.communicate(timeout=60)[1] == "" and child.returncode == 0
    lines = (path.parent / "log").read_text().split()
    assert len(lines) == 180
    assert lines[::2] == lines[1::2]


def test_names_of_scratch_files(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "ü/.." + "x" * 300)
    path = scratch_path(tmp_path)
    assert path != scratch_path(tmp_path) and len(path.name) < 140
    assert owner_of(path) == Owner.own() and not owner_of(path).gone
    assert owner_of(path.with_suffix(".ready")) == Owner.own()
    for name in (".vitprobe-", ".vitprobe-abc", "x", ".vitprobe.lock"):
        assert owner_of(tmp_path / name) is None


def test_a_signal_that_ends_the_holder_leaves_it_to_be_taken(path):
    child = start(HOLD.format("time.sleep(60)"), path)
    child.stdout.readline()
    child.send_signal(signal.SIGTERM)  # the library alone does not catch it
    child.communicate()
    with locked(path) as lock:
        assert lock.note
