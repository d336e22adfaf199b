"""A step of `vitprobe train` beside the bare loop: loading, augmentation, records and checkpoints
must not make it wait."""

import csv
import subprocess
import sys

import pytest
from interleave import interleave, quartiles
from training_ways import ways

from vitprobe.training.history import COLUMNS, History

COMPARED = {  # rounds
    "vit, batch 32, affine maps": (60, {"model": "vit"}),
    "vit, batch 32, all of adamw-augmented": (60, {"model": "vit", "recipe": "adamw-augmented"}),
    "vit, batch 32, bf16": (40, {"model": "vit", "precision": "bf16"}),
    "resnet20, batch 128, crop and flip": (
        40,
        {"model": "resnet20", "recipe": "sgd-cosine", "batch_size": 128},
    ),
    "resnet18, batch 64, affine maps": (8, {"model": "resnet18"}),
}


@pytest.mark.parametrize("name", COMPARED)
def test_against_a_bare_loop(compared, rounds, tmp_path, name):
    turns, options = COMPARED[name]
    seconds = interleave(ways(str(tmp_path), **options), rounds(turns), warm_up=3)
    bare, ours = seconds.values()
    compared(
        table="Time: a training step, images of 32 px",
        name=name,
        unit="ms",
        rounds=len(ours),
        values={name: quartiles(each, 1e3) for name, each in seconds.items()},
        ratio_of="vitprobe / bare",
        ratio=quartiles([our / their for our, their in zip(ours, bare, strict=True)]),
        target="<= 1.05",
    )


@pytest.mark.parametrize("model", ["vit", "resnet18"])
def test_digits(compared, tmp_path, model):
    """The runs of docs/tour.md."""
    line = f"train scratch --model {model} --dataset digits"
    # In an empty folder: the package that runs is the installed one.
    command = [sys.executable, "-m", "vitprobe", *line.split(), "--device", "cpu"]

    def run():
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    seconds = interleave({"wall time": run}, 1, warm_up=0)["wall time"]
    with open(tmp_path / "checkpoints" / f"{model}-digits-scratch.csv") as file:
        accuracy = 100 * chosen(list(csv.DictReader(file)))
    assert accuracy >= 95
    compared(
        table="Training on digits, from the start of the command to its files",
        name=f"vitprobe {line}",
        unit="s",
        rounds=1,
        values={"wall time": quartiles(seconds)},
        ratio_of="test accuracy, %",
        ratio=[accuracy] * 3,
        target="<= 210 s, >= 95 %",
    )


def chosen(rows: list[dict]) -> float:
    """The test accuracy of the epoch that is kept."""
    history = History({name: [float(row[name]) for row in rows] for name in COLUMNS})
    return history.row(history.best)["accuracy"]
