"""What goes wrong in a run is said in one line, and the last good checkpoint stays."""

import numpy as np
import pytest
import torch
from PIL import Image
from training_runs import assert_same, ending

from vitprobe.errors import InputError
from vitprobe.training import loop, train


def one_line(run):
    """The line on stderr with which a run was refused."""
    assert run.code == 2, run
    assert run.err.startswith("vitprobe: ") and run.err.count("\n") == 1, run.err
    assert len(run.err) < 600
    return run.err


@pytest.mark.parametrize(
    "event, bytes",
    [
        ("step 1 2", 20_000),  # within an epoch, amid the file
        ("write run.last.pt", 2_000),  # as soon as a later save has begun
        ("step 1 6", 2_000),  # at the end of an epoch
    ],
)
def test_a_full_disk(vitprobe_run, tiny, tmp_path, event, bytes):
    words = [*tiny, "--output", tmp_path / "out"]
    last = tmp_path / "out" / "run.last.pt"
    if event == "step 1 6":
        words += ["--save_every", 1000]
    assert vitprobe_run(*words, cwd=tmp_path, die_at=("step 1 1", 0)).code == -9
    held = last.read_bytes()
    run = vitprobe_run(*words, "--resume", cwd=tmp_path, file_limit=(event, bytes))
    line = one_line(run)
    assert "cannot write" in line and "File too large" in line, line
    assert f"the last good checkpoint is {last}" in line
    if event == "step 1 6":  # elsewhere a save may have worked before
        assert last.read_bytes() == held
    assert not list((tmp_path / "out").glob(".*"))
    assert vitprobe_run(*words, "--resume", cwd=tmp_path).code == 0
    assert vitprobe_run(*words, "--output", tmp_path / "whole", cwd=tmp_path).code == 0
    assert_same(ending(tmp_path / "whole"), ending(tmp_path / "out"))


@pytest.mark.parametrize("folder", ["file/below", "file", "/proc/vitprobe"])
def test_a_folder_that_cannot_be_written(vitprobe_run, tiny, tmp_path, folder):
    (tmp_path / "file").write_text("")
    run = vitprobe_run(*tiny, "--output", folder, cwd=tmp_path)
    line = one_line(run)
    assert f"cannot write to --output {folder}: " in line and "name another folder" in line
    assert run.out == "" and run.events == []


def test_a_name_that_is_a_folder(vitprobe_run, tiny, tmp_path):
    (tmp_path / "out" / "run.pt").mkdir(parents=True)
    run = vitprobe_run(*tiny, "--output", tmp_path / "out", cwd=tmp_path)
    assert f"cannot write {tmp_path / 'out' / 'run.pt'}: Is a directory" in one_line(run)
    assert run.events == [] and len(list((tmp_path / "out").iterdir())) == 1


def test_checkpoints_to_start_from_that_are_none(vitprobe_run, tiny, tmp_path):
    words = [*tiny, "--output", tmp_path / "out"]
    assert vitprobe_run(*words, "-e", 1, cwd=tmp_path).code == 0
    good = tmp_path / "out" / "run.pt"
    (tmp_path / "half.pt").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    torch.save({"state_dict": {"conv9.weight": torch.zeros(3, 3)}}, tmp_path / "foreign.pt")
    (tmp_path / "text.pt").write_text("weights")
    tune = [word for word in words if word != "scratch"]
    tune.insert(1, "finetune")
    for name, said in (
        ("half.pt", "truncated"),
        ("foreign.pt", "conv9.weight"),
        ("text.pt", "cannot read checkpoint"),
        ("none.pt", "none.pt"),
    ):
        line = one_line(vitprobe_run(*tune, "--checkpoint", name, "-mn", "new", cwd=tmp_path))
        assert name in line and said in line, line
    assert not list((tmp_path / "out").glob("new*"))
    assert vitprobe_run(*tune, "-ckpt", good, "-mn", "new", cwd=tmp_path).code == 0


def test_nan_stops_at_its_step_and_the_last_checkpoint_is_good(vitprobe_run, tiny, tmp_path):
    words = [*tiny, "--output", tmp_path / "out", "--save_every", 1000]
    run = vitprobe_run(*words, cwd=tmp_path, nan_at=9)  # steps count from 0 here, from 1 for people
    last = tmp_path / "out" / "run.last.pt"
    line = one_line(run)
    assert "the loss is nan at step 3 of epoch 2 (step 10 of the run)" in line
    assert "try an --lr below 0.01" in line and f"the last good checkpoint is {last}" in line
    assert "epoch 1/3" in run.out
    state = torch.load(last, weights_only=True)
    assert (state["epoch"], state["step"]) == (1, 0)
    assert all(weight.isfinite().all() for weight in state["raw_state_dict"].values())


def test_nan_before_the_first_checkpoint(vitprobe_run, tiny, tmp_path):
    words = [*tiny, "--output", tmp_path, "--optimizer", "sgd", "--scheduler", "none"]
    line = one_line(vitprobe_run(*words, "--lr", 1e30, "--save_every", 1000, cwd=tmp_path))
    assert "at step" in line and "of epoch 1" in line
    assert line.rstrip().endswith("no checkpoint was written yet")
    assert not (tmp_path / "run.last.pt").exists()


def library(few_digits, tmp_path, **options):
    data = {
        "dataset": f"npz:{few_digits}/train.npz",
        "test_dataset": f"npz:{few_digits}/test.npz",
    }
    small = {"model": "user_training_models:Plain", "recipe": "adam-plain", "epochs": 2}
    options = {**data, **small, "output": str(tmp_path), "model_name": "run", **options}
    return train("scratch", device="cpu", batch_size=10, **options)  # 11 steps an epoch


def step_with(monkeypatch, change):
    """Call `change(loop, batch)` before each step."""
    step = loop.Loop.train_step

    def changed(self, batch):
        change(self, batch)
        return step(self, batch)

    monkeypatch.setattr(loop.Loop, "train_step", changed)


@pytest.mark.parametrize("every", [4, 50])  # the look is after the bad step, or at the epoch's end
def test_losses_that_are_looked_at_together(few_digits, tmp_path, monkeypatch, every):
    """As on a GPU: no look at each step, so bad losses are found later, but by their step."""
    monkeypatch.setattr(loop, "LOOK_EVERY", every)
    taken = []

    def on_gpu(self, batch):
        self.device = torch.device("meta")  # anything but a CPU
        taken.append(self.step)
        if (self.epoch, self.step) == (1, 5):
            batch.images.fill_(float("nan"))

    step_with(monkeypatch, on_gpu)
    monkeypatch.setattr(loop, "autocast", lambda device, settings: loop.nullcontext())
    with pytest.raises(InputError, match=r"the loss is nan at step 6 of epoch 2 \(step 17 of"):
        library(few_digits, tmp_path)
    assert len(taken) == 11 + (8 if every == 4 else 11)
    assert torch.load(tmp_path / "run.last.pt", weights_only=True)["epoch"] == 1


def test_weights_that_the_last_step_spoilt_are_not_saved(few_digits, tmp_path, monkeypatch):
    """The loss of an epoch's last step is finite, its gradient is not."""

    def spoil(self, batch):
        if (self.epoch, self.step) == (1, 10):
            self.model.classifier.bias.register_hook(lambda gradient: gradient * float("inf"))

    step_with(monkeypatch, spoil)
    with pytest.raises(
        InputError, match=r"weights are not finite.*at step 11 of epoch 2 .*last.pt"
    ):
        library(few_digits, tmp_path)
    assert torch.load(tmp_path / "run.last.pt", weights_only=True)["epoch"] == 1


def test_an_older_run_is_not_taken_for_this_ones_checkpoint(few_digits, tmp_path, monkeypatch):
    library(few_digits, tmp_path)
    step_with(monkeypatch, lambda self, batch: batch.images.fill_(float("nan")))
    with pytest.raises(InputError, match="no checkpoint was written yet"):
        library(few_digits, tmp_path)


def test_other_images_are_not_gone_on_with(few_digits, tmp_path):
    with np.load(few_digits / "train.npz") as file:
        np.savez(tmp_path / "data.npz", images=file["images"], labels=file["labels"])
        library(few_digits, tmp_path, dataset=f"npz:{tmp_path}/data.npz")
        np.savez(tmp_path / "data.npz", images=file["images"][:100], labels=file["labels"][:100])
    with pytest.raises(InputError, match=r"was made with other numbers of images \(.*110.*now.*90"):
        library(few_digits, tmp_path, dataset=f"npz:{tmp_path}/data.npz", resume=True)


def test_a_batch_too_small_for_batch_norm(few_digits, tmp_path):
    with pytest.raises(InputError, match="needs two images at a time: a batch of 1"):
        train(
            "resnet",
            dataset=f"npz:{few_digits}/train.npz",
            model="resnet10t",
            image_size=32,
            epochs=1,
            batch_size=1,
            output=str(tmp_path),
            device="cpu",
        )


@pytest.fixture
def folder(tmp_path):
    """Two classes of 8 images."""
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(8):
            pixels = random.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    return tmp_path / "images"


def of_folder(folder, tmp_path, **options):
    options = {"image_size": 16, "epochs": 1, "batch_size": 4, "device": "cpu", **options}
    model = {"model": "user_training_models:Plain", "recipe": "adam-plain"}
    return train("scratch", data_dir=str(folder), output=str(tmp_path / "out"), **model, **options)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_corrupt_image_is_named(folder, tmp_path, monkeypatch, in_memory):
    if not in_memory:
        monkeypatch.setattr("vitprobe.training.images.default_limit", lambda: 0)
    assert of_folder(folder, tmp_path).parameters > 0
    for path in (folder / "dog").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"dog/\d\.png") as raised:
        of_folder(folder, tmp_path)
    assert "\n" not in str(raised.value)


def test_images_that_cannot_be_trained_on(folder, tmp_path):
    def message(where, **options):
        with pytest.raises(InputError) as raised:
            of_folder(where, tmp_path, **options)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert "no class" in message(folder / "cat")  # images without class folders
    assert "differ in size: give image_size" in message(folder, image_size=None)
    assert "has 2 classes, but num_classes 3 was given" in message(folder, num_classes=3)
    assert "leaves no image of class" in message(folder, fraction=0.001)
    for path in (folder / "dog").iterdir():
        path.unlink()
    (folder / "dog").rmdir()
    assert "has images of one class only" in message(folder)
    (folder / "dog").mkdir()
    for path in sorted((folder / "cat").iterdir())[1:]:
        path.rename(folder / "dog" / path.name)
    for path in sorted((folder / "dog").iterdir())[1:]:
        path.unlink()
    assert "has too few images: none is left for validation" in message(folder)
