"""A run that was killed and resumed ends as one that was not: bit for bit, on the CPU."""

import random
import signal

import pytest
from training_runs import assert_same, ending

KILLS = 20


@pytest.fixture(scope="module")
def whole(vitprobe_run, tmp_path_factory):
    """whole(words): the ending of the uninterrupted run, run once."""
    known = {}

    def of(words):
        key = tuple(words[3:])  # without the recipe's path
        if key not in known:
            folder = tmp_path_factory.mktemp("whole")
            run = vitprobe_run(*words, "--output", folder, "--save_every", 1000, cwd=folder)
            assert run.code == 0, run.err
            known[key] = ending(folder)
        return known[key]

    return of


def fits(whole, words, folder):
    """Whether two endings are the same, apart from the recipe's path, which tests differ in."""
    expected, found = whole(words), ending(folder)
    for result in (expected, found):
        for state in ("best", "last"):
            result[state]["settings"].pop("recipe", None)
    assert_same(expected, found)
    assert not list(folder.glob(".*"))  # no scratch files


def test_killed_twenty_times(vitprobe_run, tiny, whole, tmp_path):
    words, chance = [*tiny, "--epochs", 30], random.Random(0)
    last = []
    for i in range(KILLS):
        kind = ("step", "open", "step", "replace")[i % 4]
        run = vitprobe_run(
            *words,
            *("--resume", "--output", tmp_path / "out"),
            cwd=tmp_path,
            events=(kind, chance.randint(1, 9)),
            after=chance.random() * 0.004,
        )
        assert run.code == -signal.SIGKILL, run
        last.append(run.events[-1])
    places = {" ".join(event.split()[:2]) for event in last}
    steps = {event for event in last if event.startswith("step")}
    assert len(places) >= 5 and len(steps) >= 3, last  # of several epochs, and within them
    assert any(not event.startswith("step") for event in last), last  # and while files are written
    run = vitprobe_run(*words, "--resume", "--output", tmp_path / "out", cwd=tmp_path)
    assert run.code == 0 and "going on from" in run.out, run
    fits(whole, words, tmp_path / "out")


@pytest.mark.parametrize("file", ["run.pt", "run.safetensors", "run.csv", "run.last.pt"])
@pytest.mark.parametrize("doing", ["open", "write"])
def test_killed_between_the_files_of_an_epoch(vitprobe_run, tiny, whole, tmp_path, file, doing):
    words = [*tiny, "--save_every", 1000, "--output", tmp_path / "out"]
    run = vitprobe_run(*words, cwd=tmp_path, die_at=(f"{doing} {file}", 1))
    assert run.code == -signal.SIGKILL and run.events[-1] == f"{doing} {file}"
    run = vitprobe_run(*words, "--resume", cwd=tmp_path)
    assert run.code == 0, run.err
    fits(whole, tiny, tmp_path / "out")


def test_two_threads(vitprobe_run, tiny, tmp_path):
    two = {"cwd": tmp_path, "threads": 2}
    outputs = [tmp_path / "whole", tmp_path / "cut"]
    assert vitprobe_run(*tiny, "--output", outputs[0], **two).code == 0
    words = [*tiny, "--output", outputs[1], "--resume"]
    for step in ("step 0 4", "step 1 5"):
        assert vitprobe_run(*words, die_at=(step, 0), **two).code == -signal.SIGKILL
    assert vitprobe_run(*words, **two).code == 0
    assert_same(*map(ending, outputs))


@pytest.fixture
def finished(vitprobe_run, tiny, tmp_path):
    """Words of a run, and the folder where it was finished."""
    words = [*tiny, "--output", tmp_path / "out"]
    assert vitprobe_run(*words, cwd=tmp_path).code == 0
    return words, tmp_path / "out"


def test_a_finished_run_is_left_as_it_is(vitprobe_run, finished, tmp_path):
    words, folder = finished

    def files():
        found = [path for path in folder.iterdir() if path.is_file()]
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}

    before = files()
    run = vitprobe_run(*words, "--resume", cwd=tmp_path)
    assert run.code == 0 and run.events == []
    assert "this run is finished" in run.out and "test accuracy" in run.out
    assert files() == before and len(before) == 4


def test_resuming_nothing_starts(vitprobe_run, tiny, whole, tmp_path):
    words = [*tiny, "--output", tmp_path / "out"]
    run = vitprobe_run(*words, "--resume", cwd=tmp_path)
    assert run.code == 0 and run.events[0] == "step 0 0" and "going on" not in run.out
    fits(whole, tiny, tmp_path / "out")


def test_a_truncated_last_checkpoint_gives_way_to_the_best(vitprobe_run, tiny, whole, tmp_path):
    words = [*tiny, "--output", tmp_path / "out"]
    run = vitprobe_run(*words, cwd=tmp_path, die_at=("step 1 6", 0))
    assert run.code == -signal.SIGKILL
    best, last = tmp_path / "out" / "run.pt", tmp_path / "out" / "run.last.pt"
    last.write_bytes(last.read_bytes()[:-2000])
    run = vitprobe_run(*words, "--resume", cwd=tmp_path)
    assert run.code == 0, run.err
    assert f"cannot read {last}: it is truncated" in run.out and f"going on from {best}" in run.out
    assert run.events[0] == "step 1 0"  # where the first epoch, the best so far, ended
    fits(whole, tiny, tmp_path / "out")


def test_other_settings_are_refused(vitprobe_run, finished, tmp_path):
    words, folder = finished
    run = vitprobe_run(*words, "--lr", 0.5, "--resume", cwd=tmp_path)
    assert (run.code, run.out) == (2, "")
    assert f"{folder / 'run.last.pt'} was made with other settings (lr 0.01 and 0.5)" in run.err
    assert run.err.count("\n") == 1
    run = vitprobe_run(*words, "--resume", "--save_every", 5, "--workers", 0, cwd=tmp_path)
    assert run.code == 0  # what does not matter for the result may change


@pytest.mark.parametrize(
    "number, word", [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_stopped(vitprobe_run, tiny, whole, tmp_path, number, word):
    words = [*tiny, "--output", tmp_path / "out"]
    run = vitprobe_run(*words, cwd=tmp_path, die_at=("step 1 6", 0), signal=number)
    last = tmp_path / "out" / "run.last.pt"
    assert run.code == 128 + number
    assert run.err == f"vitprobe: {word}; the last good checkpoint is {last}: --resume goes on\n"
    assert not list((tmp_path / "out").glob(".*"))
    assert vitprobe_run(*words, "--resume", cwd=tmp_path).code == 0
    fits(whole, tiny, tmp_path / "out")
    words += ["--save_every", 1000]  # anew, and before anything is saved
    run = vitprobe_run(*words, cwd=tmp_path, die_at=("step 0 3", 0), signal=number)
    assert run.code == 128 + number and f"{word}; " in run.err
    for event in ("open", "write"):  # amid a file; torch's writer hides what ends it
        run = vitprobe_run(*words, cwd=tmp_path, die_at=(f"{event} run.pt", 0), signal=number)
        assert run.code == 128 + number and run.err.count("\n") == 1, run.err
        assert not list((tmp_path / "out").glob(".*"))
