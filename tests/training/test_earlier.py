"""Files of a run's name: the same run replaces its own, another is refused before any step."""

import shutil

import numpy as np
import pytest
import torch

from vitprobe.errors import InputError
from vitprobe.training import train
from vitprobe.training.loop import Loop

QUICK = {
    "model": "user_training_models:Plain",
    "recipe": "adam-plain",
    "epochs": 1,
    "batch_size": 20,
    "device": "cpu",
    "model_name": "run",
}


@pytest.fixture
def run(few_digits, tmp_path):
    """run(...) -> TrainingResult of a quick run called `run`, in `out`."""
    data = {"dataset": f"npz:{few_digits}/train.npz", "test_dataset": f"npz:{few_digits}/test.npz"}
    usual = {**QUICK, **data, "output": str(tmp_path / "out")}
    return lambda mode="scratch", **options: train(mode, **{**usual, **options})


@pytest.fixture
def kept(tmp_path):
    """A function: all files of `out`, by name."""
    folder = tmp_path / "out"
    return lambda: {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refused(run, kept, monkeypatch, match, **options):
    """The run is refused before a step, in one line with the ways out; nothing is touched."""
    before = kept()
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "run", lambda self: pytest.fail("it began"))
        with pytest.raises(InputError, match=match) as error:
            run(**options)
    line = str(error.value)
    assert "\n" not in line and kept() == before
    assert line.endswith("give another model_name or output, or overwrite=True")


def test_the_very_same_run_replaces_its_own(run, capsys):
    first = run()
    again = run(progress=True, save_every=5.0, workers=0, num_classes=10)  # which do not matter
    out = capsys.readouterr().out
    note = f"note: {first.last} of an earlier run is replaced; resume=True would go on with it"
    assert note in out.splitlines()
    assert again.history["val_loss"] == first.history["val_loss"]


def test_another_run_is_refused(run, kept, monkeypatch, tmp_path):
    run()
    found = r"run.last.pt was made with other settings \(epochs 1 and 2, lr 0.0001 and 0.5\)"
    refused(run, kept, monkeypatch, found, epochs=2, lr=0.5)
    assert run(epochs=2, lr=0.5, overwrite=True).settings.lr == 0.5
    assert run(output=str(tmp_path / "other")).path.exists()
    assert run(model_name="another").path.exists()


def test_an_edited_recipe_is_another_run(run, kept, monkeypatch, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('batch_size = 20\nepochs = 1\noptimizer = "adam"\nlr = 1e-2\n')
    run(recipe=str(own))
    moved = own.rename(tmp_path / "moved.toml")
    run(recipe=str(moved))  # the same values
    moved.write_text(moved.read_text().replace("1e-2", "1e-3"))
    refused(run, kept, monkeypatch, "lr 0.01 and 0.001", recipe=str(moved))


def test_other_weights_to_start_from(run, kept, monkeypatch):
    starts = [run(seed=seed, model_name=f"start{seed}") for seed in (0, 1)]
    first, other = (str(start.path) for start in starts)
    run("finetune", checkpoint=first)
    refused(run, kept, monkeypatch, "weights to start from", mode="finetune", checkpoint=other)


def test_other_images_under_the_same_name(run, kept, monkeypatch, few_digits, tmp_path):
    path = tmp_path / "set.npz"
    shutil.copy(few_digits / "train.npz", path)
    run(dataset=f"npz:{path}")
    with np.load(path) as file:
        np.savez(path, images=file["images"][:100], labels=file["labels"][:100])
    refused(run, kept, monkeypatch, "numbers of images", dataset=f"npz:{path}")


@pytest.mark.parametrize("damage", ["cut", "foreign", "gone"])
def test_what_cannot_be_told_is_not_replaced(run, kept, monkeypatch, damage):
    first = run()
    for path in (first.path, first.last):
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:1000])
        elif damage == "foreign":
            torch.save({"state_dict": {"w": torch.zeros(2)}}, path)
        else:
            path.unlink()
    match = {
        "cut": "cannot read .*run.last.pt",
        "foreign": "is no checkpoint of vitprobe train",
        "gone": "run.safetensors is there, and nothing tells which run made it",
    }
    refused(run, kept, monkeypatch, match[damage])
    assert run(overwrite=True).path.exists()


def test_resume_and_overwrite_contradict(run):
    with pytest.raises(
        InputError, match="resume=True goes on with a run, and overwrite=True replaces"
    ):
        run(resume=True, overwrite=True)


def test_resuming_another_run_is_refused_as_ever(run):
    run()
    with pytest.raises(
        InputError, match=r"\(lr 0.0001 and 0.5\): give the same ones to resume=True"
    ):
        run(lr=0.5, resume=True)
