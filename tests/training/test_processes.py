"""Several processes of torchrun train as one does."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gang import gang
from torch.nn import functional as F
from train_in_processes import command, trained
from user_training_models import Normed

from vitprobe import cli
from vitprobe.passes.processes import Processes
from vitprobe.training import train
from vitprobe.training.loop import apart, common_statistics

TESTS = Path(__file__).resolve().parents[1]
TINY = {"model": "vit", "dim": 16, "depth": 1, "heads": 2, "mlp_dim": 32, "patch_size": 8}
SGD = {"optimizer": "sgd", "lr": 0.05, "weight_decay": 1e-3, "scheduler": "none"}
ADAMW = {"optimizer": "adamw", "lr": 1e-3, "clip_grad": 0.5, "ema_decay": 0.5}
VARIED = {"recipe": "deit"}  # mixing, RandAugment, erasing, label smoothing
OWN = "user_training_models:"
RUNS = {  # name -> dtype and options; 110 images to train on, 22 with the fraction
    "sgd": ("float32", {**TINY, **SGD, "batch_size": 25}),
    "adamw": ("float64", {"model": OWN + "double_vit", **VARIED, **ADAMW, "batch_size": 7}),
    "single": (
        "float64",
        {"model": OWN + "double_plain", **ADAMW, "batch_size": 1, "fraction": 0.2, "epochs": 1},
    ),
    "frozen": (
        "float32",
        {"mode": "probe", "recipe": "adam-plain", "lr": 0.01, "batch_size": 30},
    ),
    "unused": ("float32", {"model": OWN + "Plain", **SGD, "batch_size": 32}),
}


def torchrun(*words, count=2, cwd):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": found, "COLUMNS": "200"}
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(count)]
    return subprocess.run(
        [sys.executable, *launcher, "--master-port", str(port), *map(str, words)],
        capture_output=True,
        text=True,
        env=env,
        cwd=cwd,
        timeout=120,
    )


@pytest.fixture(scope="module")
def data(few_digits):
    return {
        "mode": "scratch",
        "dataset": f"npz:{few_digits}/train.npz",
        "test_dataset": f"npz:{few_digits}/test.npz",
        "epochs": 2,
    }


@pytest.fixture(scope="module")
def folders(data, tmp_path_factory):
    """Folders with the results of RUNS of two processes and of one; in that of two, also `whole`
    and `cut`, which was killed within its second epoch and resumed."""
    two, one = (tmp_path_factory.mktemp(name) for name in ("two", "one"))
    start = {**data, **TINY, **SGD, "epochs": 1, "output": str(one), "model_name": "start"}
    RUNS["frozen"][1]["checkpoint"] = str(train(device="cpu", **start).path)
    runs = [(name, {**data, **options}, None) for name, (_, options) in RUNS.items()]
    normed = {**data, "model": OWN + "Normed", "batch_size": 20, **VARIED, **ADAMW, "epochs": 3}
    cut = {**normed, "resume": True, "save_every": 0.0}
    (first, _), _ = gang(2, trained, two, [("cut", cut, 9)])
    assert first == -9
    held = torch.load(two / "cut" / "run.last.pt", weights_only=True)
    assert (held["epoch"], held["step"]) == (1, 3)  # 6 steps an epoch
    ended = gang(2, trained, two, [*runs, ("whole", normed, None), ("cut", cut, None)])
    assert [code for code, _ in ended] == [0, 0]
    for name, options, _ in runs:
        train(output=str(one / name), model_name="run", device="cpu", **options)
    return two, one


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_give_the_weights_of_one(folders, name):
    two, one = (torch.load(folder / name / "run.last.pt", weights_only=True) for folder in folders)
    states = [key for key in ("model_state_dict", "raw_state_dict") if one[key]]
    assert len(states) == 1 + ("ema_decay" in RUNS[name][1])
    for key in states:
        for weight, a in one[key].items():
            b = two[key][weight]
            assert a.dtype == b.dtype == getattr(torch, RUNS[name][0])
            assert (a - b).abs().max() < 1e-6, (key, weight)
    for column, values in one["history"].items():
        if column != "seconds":
            assert two["history"][column] == pytest.approx(values, abs=1e-5), column
    assert len(one["history"]["lr"]) == one["epoch"] == one["settings"]["epochs"]
    assert two["images"] == one["images"]
    names = {path.name for path in (folders[0] / name).iterdir() if path.is_file()}
    assert names == {"run.pt", "run.last.pt", "run.csv", "run.safetensors"}


def test_a_killed_run_of_two_goes_on_bit_for_bit(folders):
    whole, cut = (
        torch.load(folders[0] / name / "run.last.pt", weights_only=True)
        for name in ("whole", "cut")
    )
    for key in ("model_state_dict", "raw_state_dict"):
        for weight, a in whole[key].items():
            assert torch.equal(a, cut[key][weight]), (key, weight)
    for column, values in whole["history"].items():
        assert column == "seconds" or values == cut["history"][column], column


def test_what_is_judged_is_what_is_saved(folders, few_digits):
    """Batch norm's statistics differ between processes on CPUs: all judge with the first one's."""
    state = torch.load(folders[0] / "whole" / "run.last.pt", weights_only=True)
    model = Normed().eval()
    model.load_state_dict(state["model_state_dict"])
    with np.load(few_digits / "test.npz") as file:
        grey, labels = torch.from_numpy(file["images"]), torch.from_numpy(file["labels"])
    mean, std = (torch.tensor(state["normalization"][k]).view(3, 1, 1) for k in ("mean", "std"))
    images = (grey.reshape(-1, 1, 32, 32).expand(-1, 3, -1, -1) / 255 - mean) / std
    with torch.no_grad():
        loss = F.cross_entropy(model(images), labels)
    assert float(loss) == pytest.approx(state["test_loss"][-1], abs=1e-5)


def words(data, folder, *more):
    pairs = [word for key in ("dataset", "test_dataset") for word in (f"--{key}", data[key])]
    run = ["--model", OWN + "Normed", "--recipe", "adam-plain", "-mn", "run", "--device", "cpu"]
    return ["train", "scratch", *pairs, *run, "--output", folder, *more]


def test_the_command_prints_once(data, tmp_path):
    """Under torchrun itself."""
    ended = torchrun("-m", "vitprobe", *words(data, tmp_path, "-e", 2), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    for line in ("mode  ", "epoch 1/2", "epoch 2/2", "best  ", "use  "):
        assert ended.stdout.count(line) == 1, ended.stdout
    assert "on CPUs batch norm takes its statistics over each process's images (1/2" in ended.stdout


@pytest.mark.parametrize(
    "options, message",
    [
        (["--lr", "1e30", "-e", 3], "vitprobe: the loss is nan at step"),
        (["--num_classes", 7], "has 10 classes, but --num-classes 7 was given"),
    ],
)
def test_an_error_is_said_once_and_ends_all(data, tmp_path, options, message):
    run = words(data, tmp_path / "run", *options)
    (code, _), _ = gang(2, command, tmp_path, *run, timeout=60, patience=1)
    said = "".join((tmp_path / f"err.{rank}").read_text() for rank in (0, 1))
    assert code == 2 and said.count(message) == said.count("vitprobe: ") == 1, said


def test_a_process_that_fails_alone_says_so_after_a_while(monkeypatch, capsys):
    waits = []
    monkeypatch.setattr(cli.ending.time, "sleep", waits.append)
    monkeypatch.setattr(sys, "argv", ["vitprobe", "tarin"])
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(SystemExit):
            cli.main()
        assert "unknown command 'tarin'" in capsys.readouterr().err
    assert waits == [cli.ending.OTHERS_WAIT]


@pytest.mark.cuda
def test_on_gpus_batch_norm_takes_common_statistics():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    model = Normed().cuda()
    weights, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    assert common_statistics(model, Processes()) is model
    assert isinstance(model.body[1], torch.nn.BatchNorm2d)
    common = common_statistics(model, Processes(0, 2))
    assert isinstance(common.body[1], torch.nn.SyncBatchNorm)
    assert all(weights[key] is value for key, value in common.named_parameters())
    assert all(buffers[key] is value for key, value in common.named_buffers())
    assert apart(common, Processes(0, 2)) == ""
