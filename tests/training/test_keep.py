"""Weights of chosen epochs: which are kept, by whom; what a stop or another run does to them."""

import json
import signal

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from training_runs import assert_same, ending

import vitprobe
from vitprobe.errors import InputError
from vitprobe.passes.processes import Processes
from vitprobe.training import train
from vitprobe.training.loop import Loop


@pytest.fixture
def run(few_digits, tmp_path):
    """run(...) -> TrainingResult of a small ViT with averaged weights, called `run`, in `out`."""
    usual = {
        **{"model": "vit", "dim": 16, "depth": 1, "heads": 2, "mlp_dim": 32, "patch_size": 8},
        "dataset": f"npz:{few_digits}/train.npz",
        "test_dataset": f"npz:{few_digits}/test.npz",
        **{"recipe": "adam-plain", "ema_decay": 0.9, "epochs": 3, "batch_size": 40},
        **{"device": "cpu", "model_name": "run", "output": str(tmp_path / "out")},
    }
    return lambda mode="scratch", **options: train(mode, **{**usual, **options})


def names(result):
    return [path.name for path in result.kept]


def of(*epochs):
    return [f"run.epoch-{epoch:03}.safetensors" for epoch in epochs]


def test_the_start_every_nth_and_the_last(run):
    result = run(keep_every=2)
    assert names(result) == of(0, 2, 3)
    # what is evaluated, as in the other files: here averaged weights
    last = torch.load(result.last, weights_only=True)
    assert_same(load_file(result.kept[2]), dict(sorted(last["model_state_dict"].items())))
    assert not torch.equal(
        last["model_state_dict"]["head.weight"], last["raw_state_dict"]["head.weight"]
    )
    for path, epoch in zip(result.kept, (0, 2, 3), strict=True):
        with safe_open(path, framework="pt") as file:
            about = file.metadata()
        assert json.loads(about["epoch"]) == epoch
        assert json.loads(about["settings"])["model"] == "vit"
    # each is a model, as it is
    start, end = (vitprobe.load_model(f"vit@{path}") for path in result.kept[::2])
    fresh = vitprobe.load_model(
        "vit(dim=16,depth=1,heads=2,mlp_dim=32,patch_size=8)", image_size=32, num_classes=10
    )
    assert_same(dict(start.state_dict()), dict(fresh.state_dict()))
    assert not torch.equal(end.head.weight, start.head.weight)


def test_none_unless_asked_for(run):
    assert run().kept == ()


def test_a_run_that_replaces_one_has_its_own_epochs_alone(run, tmp_path):
    run(keep_every=1)
    strangers = [tmp_path / "out" / name for name in ("run2.epoch-001.safetensors", "run.epoch-x")]
    for path in strangers:
        path.write_bytes(b"")
    assert names(run(keep_every=3)) == of(0, 3)
    assert names(run(epochs=1, overwrite=True)) == []
    assert all(path.exists() for path in strangers)


def test_another_runs_epochs_are_not_replaced(run):
    result = run(keep_every=1)
    for path in result.files:
        path.unlink()
    before = [path.read_bytes() for path in result.kept]
    for options in ({"keep_every": 1}, {}):
        with pytest.raises(InputError, match=r"run.epoch-000.safetensors is there, and nothing"):
            run(**options)
    assert [path.read_bytes() for path in result.kept] == before


def test_a_run_does_not_start_from_what_it_would_replace(run):
    result = run(keep_every=1)
    with pytest.raises(InputError, match="is what this run starts from"):
        run("finetune", checkpoint=str(result.kept[1]))
    tuned = run("finetune", checkpoint=str(result.kept[1]), model_name="tuned", keep_every=5)
    first = load_file(tuned.kept[0])
    for name, weight in load_file(result.kept[1]).items():
        if not name.startswith("head"):
            assert torch.equal(first[name], weight), name


def test_it_may_change_when_a_run_goes_on(run, monkeypatch):
    step = Loop.train_step

    def stopped(self, batch):
        if (self.epoch, self.step) == (1, 1):
            raise KeyboardInterrupt
        step(self, batch)

    monkeypatch.setattr(Loop, "train_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(keep_every=1)
    monkeypatch.undo()
    assert names(run(keep_every=3, resume=True)) == of(0, 1, 3)
    assert names(run(resume=True)) == of(0, 1, 3)  # finished: nothing is done


def test_only_the_first_process_writes(run, monkeypatch, tmp_path):
    monkeypatch.setattr(Processes, "first", property(lambda self: False))
    assert run(keep_every=1, epochs=1).kept == ()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [0, -1])
def test_no_such_number(run, value):
    with pytest.raises(InputError, match="keep_every must be from 1"):
        run(keep_every=value)


EVENTS = [("open run.last.pt", 0), ("open run.epoch-000.safetensors", 0), ("step 0 0", 0)]
EVENTS += [("write run.epoch-002.safetensors", 0), ("replace run.epoch-003.safetensors", 0)]


def test_killed_and_resumed(vitprobe_run, tiny, tmp_path):
    words = [*tiny, "--save_every", 1000, "--keep-every", 1]
    whole = vitprobe_run(*words, "--output", tmp_path / "whole", cwd=tmp_path)
    assert whole.code == 0, whole.err
    first, last = tmp_path / "whole" / of(0)[0], of(3)[0]
    assert f"kept     weights of 4 epochs: {first} to {last}" in whole.out
    cut = tmp_path / "cut"
    for event in EVENTS:
        run = vitprobe_run(*words, "--output", cut, "--resume", cwd=tmp_path, die_at=event)
        assert run.code == -signal.SIGKILL and run.events[-1] == event[0], (event, run.err)
    run = vitprobe_run(*words, "--output", cut, "--resume", cwd=tmp_path)
    assert run.code == 0, run.err
    assert_same(ending(tmp_path / "whole"), ending(cut))
    for epoch in range(4):
        name = of(epoch)[0]
        assert_same(load_file(tmp_path / "whole" / name), load_file(cut / name))
    assert not list(cut.glob(".*"))
