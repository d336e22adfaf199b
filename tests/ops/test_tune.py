"""What was found is remembered for the machine; of several processes one finds it."""

import json
import os
import stat
import sys
from dataclasses import replace

import pytest
from children import dead_process, start

from vitprobe.ops.proof import remembered, tune
from vitprobe.ops.proof.question import Question, Result
from vitprobe.ops.proof.run import Limits, Proof
from vitprobe.ops.proof.tune import Machine, look_up, tuned
from vitprobe.owner import Owner

LIMITS = Limits(candidate=20.0, total=60.0)
MACHINE = Machine(
    "cpu", "a stand-in", {"device": "a stand-in / 1", "driver": "1.0", "library": "ab"}
)
QUESTION = Question("double", "f32", "made_candidates:cases", {"right": "made_candidates:right"})


@pytest.fixture
def trials(monkeypatch):
    """Counts the trials, which find `right` right at once."""
    made = []

    def prove(questions, device, limits, **how):
        made.append(device)
        found = {"right": Result(0.0, "", {"small": 1e-6 * len(made)})}
        return Proof({each.name: found for each in questions})

    monkeypatch.setattr(tune, "prove", prove)
    return made


def ask(folder, machine=MACHINE, questions=(QUESTION,), **how):
    return tuned(machine, questions, folder, limits=LIMITS, **how)


def test_it_is_found_once_and_said_in_one_line(tmp_path, trials, capsys):
    folder = tmp_path / "cache" / "vitprobe"
    assert look_up(MACHINE, [QUESTION], folder) is None
    first = ask(folder)
    line = capsys.readouterr().err
    assert line.startswith("vitprobe: its kernels are tried against float64 on a stand-in")
    assert f"in at most 60 s; remembered in {folder}" in line and line.count("\n") == 1
    again = ask(folder)
    assert again.answers == first.answers and len(trials) == 1
    assert look_up(MACHINE, [QUESTION], folder).answers == first.answers
    assert capsys.readouterr().err == ""
    (name,) = os.listdir(folder)
    assert name.startswith("a-stand-in-1-") and name.endswith(".json")


def test_another_driver_or_library_is_another_machine(tmp_path, trials):
    ask(tmp_path)
    for change in ({"driver": "1.1"}, {"library": "ac"}):
        ask(tmp_path, replace(MACHINE, key=MACHINE.key | change))
    assert len(trials) == 3 and len(os.listdir(tmp_path)) == 3
    ask(tmp_path)
    assert len(trials) == 3


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\x00", b'{"format": 1}', b"[" * 10**5])
def test_a_damaged_file_is_found_anew(tmp_path, trials, text):
    ask(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(text)
    ask(tmp_path)
    assert len(trials) == 2 and json.loads(path.read_bytes())["key"] == MACHINE.key


def test_answers_to_other_questions_are_found_anew(tmp_path, trials):
    ask(tmp_path)
    more = Question("double", "f32", "x:y", QUESTION.candidates | {"fast": "made_candidates:fast"})
    ask(tmp_path, questions=(more,))
    ask(tmp_path, questions=(QUESTION, replace(QUESTION, kind="f64")))
    (path,) = tmp_path.iterdir()
    content = json.loads(path.read_text())
    content["key"]["driver"] = "another"  # as if two keys had one name
    path.write_text(json.dumps(content))
    ask(tmp_path, questions=(QUESTION, replace(QUESTION, kind="f64")))
    assert len(trials) == 4


def test_asked_to_find_it_again(tmp_path, trials):
    ask(tmp_path)
    assert ask(tmp_path, again=True).answers["double", "f32"]["right"].seconds["small"] == 2e-6
    assert look_up(MACHINE, [QUESTION], tmp_path).answers["double", "f32"]["right"].seconds == {
        "small": 2e-6
    }


def test_without_a_home_it_is_found_for_this_process(trials, capsys):
    assert ask(None).answers and ask(None).answers
    assert len(trials) == 2 and "not remembered: there is no home folder" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_to(tmp_path, trials, capsys):
    (tmp_path / "file").write_text("")
    assert ask(tmp_path / "file" / "cache").answers
    line = capsys.readouterr().err
    assert "not remembered" in line and "cannot be written to (Not a directory)" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_home(tmp_path, trials, capsys):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert ask(tmp_path).answers and ask(tmp_path / "cache").answers
    finally:
        tmp_path.chmod(stat.S_IRWXU)
    assert capsys.readouterr().err.count("cannot be written to (Permission denied)") == 2


def test_a_full_disk_loses_only_what_would_be_remembered(tmp_path, trials, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(remembered, "write_file", full)
    assert ask(tmp_path).answers and not os.listdir(tmp_path)


def test_what_does_not_last_is_not_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "prove", lambda *_, **__: Proof({}, "busy", lasting=False))
    assert ask(tmp_path).why == "busy" and not os.listdir(tmp_path)


PROCESS = """
import sys
from pathlib import Path
from vitprobe.ops.proof.question import Question
from vitprobe.ops.proof.run import Limits
from vitprobe.ops.proof.tune import Machine, tuned
machine = Machine("cpu", "a stand-in", {"device": "a stand-in"})
candidates = {"right": "made_candidates:right", "aborts": "made_candidates:aborts"}
question = Question("double", sys.argv[2], "made_candidates:counted_cases", candidates)
sys.stdin.readline()
proof = tuned(
    machine, [question], Path(sys.argv[1]), again=sys.argv[3] == "force", limits=Limits(30.0, 60.0)
)
print(sorted(proof.answers["double", sys.argv[2]]["right"].seconds.items()))
print(proof.answers["double", sys.argv[2]]["aborts"].why)
"""


def test_of_several_processes_one_tries_the_kernels(tmp_path):
    """Also where one was told to try them again: it has been done since."""
    counted = tmp_path / "counted"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    children = [
        start(PROCESS, tmp_path / "cache", counted, mode, stdin=-1, env=env)
        for mode in ("1", "force")
    ]
    for child in children:  # all have been started
        child.stdin.write("\n")
        child.stdin.flush()
    ended = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0, 0], ended
    assert len({out for out, _ in ended}) == 1 and "SIGABRT" in ended[0][0]
    assert sorted(err.count("vitprobe: its kernels are tried") for _, err in ended) == [0, 1]
    assert len(counted.read_text().split()) == 2  # the second child, behind the abort


def test_a_lock_that_a_killed_process_left_is_taken_over(tmp_path, trials, capsys):
    own = Owner.own()
    path = (tmp_path / remembered.file_of(MACHINE.key)).with_suffix(".lock")
    path.write_text(Owner(dead_process(), "1", own.space, own.host).word)
    ask(tmp_path)
    assert len(trials) == 1 and "; remembered in" in capsys.readouterr().err
    assert os.listdir(tmp_path) == [remembered.file_of(MACHINE.key)]


def test_another_process_that_comes_to_no_end_is_waited_for_in_vain(
    tmp_path, trials, capsys, monkeypatch
):
    monkeypatch.setattr(tune, "_WAITS", 0.0)
    path = (tmp_path / remembered.file_of(MACHINE.key)).with_suffix(".lock")
    path.write_text(replace(Owner.own(), host="elsewhere").word)
    limits = Limits(candidate=0.1, total=0.2)
    assert tuned(MACHINE, [QUESTION], tmp_path, limits=limits).answers
    line = capsys.readouterr().err
    assert "not remembered: the trial of kernels on a stand-in is in use by" in line
    assert path.exists() and len(os.listdir(tmp_path)) == 1


def test_where_the_answers_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert remembered.cache_folder() == tmp_path / "vitprobe" / "kernels"
    monkeypatch.setenv("HOME", str(tmp_path))
    for unset in ("", "relative"):  # which the XDG's rules say to ignore
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert remembered.cache_folder() == tmp_path / ".cache" / "vitprobe" / "kernels"

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(remembered.Path, "home", no_home)
    assert remembered.cache_folder() is None
