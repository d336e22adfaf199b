"""A step of `vitprobe train` beside the bare loop: loading, augmentation, records and checkpoints
must not make it wait."""

import pytest
from interleave import interleave, quartiles
from training_ways import ways

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
