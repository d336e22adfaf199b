"""One run of a name at a time; names and folders that cannot be are said before the first step."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from children import dead_process
from training_runs import assert_same, ending

from vitprobe.analyses.compare_training import compare_training
from vitprobe.errors import InputError
from vitprobe.lock import Lock
from vitprobe.owner import Owner
from vitprobe.training import loop, train
from vitprobe.training.history import History

LOCK = ".run.lock"


def refused(run):
    assert (run.code, run.out) == (2, "") and run.err.count("\n") == 1, run
    assert run.events == []
    return run.err


def test_two_runs_at_once(vitprobe_run, tiny, tmp_path):
    words = [*tiny, "-e", 12, "--output", tmp_path / "out"]
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(vitprobe_run, *words, cwd=tmp_path) for _ in range(2)]
        first, second = sorted((each.result() for each in both), key=lambda run: run.code)
    assert first.code == 0 and "in use by process" in refused(second)
    assert not list((tmp_path / "out").glob(".*"))
    alone = [*tiny, "-e", 12, "--output", tmp_path / "alone"]
    assert vitprobe_run(*alone, cwd=tmp_path).code == 0
    assert_same(*(ending(tmp_path / name) for name in ("alone", "out")))


def test_a_living_run_keeps_its_scratch_files(vitprobe_run, tiny, tmp_path):
    (tmp_path / "out").mkdir()
    scratch = tmp_path / "out" / f".vitprobe-ab.{Owner.own().word}.part"
    scratch.write_text("half")
    with Lock(tmp_path / "out" / LOCK, "", ""):
        line = refused(vitprobe_run(*tiny, "--output", tmp_path / "out", cwd=tmp_path))
        assert f"the run {tmp_path}/out/run is in use by process" in line
        assert "or give another --model-name or --output" in line
        other = [*tiny, "-mn", "run2", "--output", tmp_path / "out"]
        assert vitprobe_run(*other, "-e", 1, cwd=tmp_path).code == 0
    assert scratch.read_text() == "half"


def test_a_killed_run_is_taken_over(vitprobe_run, tiny, tmp_path):
    words = [*tiny, "--output", tmp_path / "out"]
    assert vitprobe_run(*words, cwd=tmp_path, die_at=("write run.pt", 0)).code == -9
    assert len(list((tmp_path / "out").glob(".*"))) == 2  # the lock, and half a file
    run = vitprobe_run(*words, "--resume", cwd=tmp_path)
    assert run.code == 0 and run.err == ""
    assert "note: the run" in run.out and "which has ended" in run.out
    assert not list((tmp_path / "out").glob(".*"))


def test_another_machines_run_is_not(vitprobe_run, tiny, tmp_path):
    (tmp_path / "out").mkdir()
    lock = tmp_path / "out" / LOCK
    lock.write_text(Owner(dead_process(), "1", Owner.own().space, "elsewhere").word)
    words = [*tiny, "-e", 1, "--output", tmp_path / "out"]
    line = refused(vitprobe_run(*words, "--resume", cwd=tmp_path))
    assert f"on elsewhere, which cannot be seen from here: if it has ended, remove {lock}" in line
    lock.unlink()
    assert vitprobe_run(*words, "--resume", cwd=tmp_path).code == 0


@pytest.mark.parametrize(
    "name, why",
    [
        ("é" * 128, "File name too long; give a shorter name"),
        ("é" * 122, "File name too long; give a shorter name"),  # with .safetensors
        ("a/b", "is no file name"),
        ("a\x1b[31m", r"'a\\x1b[31m' is no file name"),
        ("a\nb", "is no file name"),
        ("", "--model-name is '': give one, or leave it out"),
    ],
)
def test_names_that_cannot_be(vitprobe_run, tiny, tmp_path, name, why):
    words = [*tiny, "-mn", name, "--output", tmp_path / "out"]
    assert why in refused(vitprobe_run(*words, cwd=tmp_path))
    assert not (tmp_path / "out").exists()


def test_the_longest_names_that_can(vitprobe_run, tiny, tmp_path):
    words = [*tiny, "-e", 1, "--output", tmp_path / "out", "-mn", "é" * 121 + "."]
    assert vitprobe_run(*words, cwd=tmp_path).code == 0
    assert len(list((tmp_path / "out").glob("é*"))) == 4


def library(few_digits, **options):
    """A run of few images; two epochs of eleven steps."""
    data = {"dataset": f"npz:{few_digits}/train.npz", "test_dataset": f"npz:{few_digits}/test.npz"}
    small = {"model": "user_training_models:Plain", "recipe": "adam-plain", "epochs": 2}
    return train("scratch", device="cpu", batch_size=10, **{**data, **small, **options})


def test_a_name_made_of_a_long_one_is_shortened(few_digits, tmp_path):
    long = tmp_path / ("図" * 80 + ".npz")
    shutil.copy(few_digits / "train.npz", long)
    run = library(few_digits, dataset=f"npz:{long}", output=str(tmp_path / "out"), epochs=1)
    assert run.model_name.startswith("user_training_models_Plain-図図")
    assert run.model_name.endswith("-scratch-adam_plain-b10-e1")
    assert len(run.path.name.encode()) < 170
    assert all(path.exists() for path in run.files)


def test_a_home_and_none(few_digits, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert library(few_digits, output="~/x", epochs=1).path.parent == tmp_path / "x"
    for call in (
        lambda path: library(few_digits, output=path),
        lambda path: compare_training("data-size", output=path),
    ):
        for path in ("~nosuchuser/x", "a\0b", "", "x/" + "n" * 300):
            with pytest.raises(InputError, match="output"):
                call(path)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def vanish(monkeypatch, folder, epoch):
    """The folder goes at the sixth step of that epoch."""
    step = loop.Loop.train_step

    def changed(self, batch):
        if (self.epoch, self.step) == (epoch, 5):
            shutil.rmtree(folder)
        return step(self, batch)

    monkeypatch.setattr(loop.Loop, "train_step", changed)


def test_a_folder_that_vanishes_is_made_again(few_digits, tmp_path, monkeypatch):
    vanish(monkeypatch, tmp_path / "out", 0)
    run = library(few_digits, output=str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        path.name for path in run.files
    )


def test_a_best_epoch_that_vanished_is_said(few_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(History, "best", property(lambda self: 0))
    vanish(monkeypatch, tmp_path / "out", 1)
    with pytest.raises(InputError, match=r"was removed during the run; what is left is .*last.pt"):
        library(few_digits, output=str(tmp_path / "out"), model_name="run")
    assert torch.load(tmp_path / "out" / "run.last.pt", weights_only=True)["finished"]
    assert not list((tmp_path / "out").glob(".*"))


def test_a_study_is_refused_before_its_first_run(tmp_path, monkeypatch):
    name = "data-size-resnet18-none-f100-s0.csv"
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"cannot write .*{name}: Is a directory"):
        compare_training("data-size", output=tmp_path, train=None, seeds=[0])
