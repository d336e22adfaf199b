"""A step of `vitprobe train` against the bare loop: forward, backward, step."""

import tempfile

from interleave import interleave, quartiles
from training_ways import ways

from on_gpu.section import Section

CASES = {  # what is trained, and steps of each way in a turn
    "vit, batch 128, fp32": (20, {"model": "vit", "batch_size": 128}),
    "vit, batch 128, all of adamw-augmented, bf16": (
        20,
        {"model": "vit", "batch_size": 128, "recipe": "adamw-augmented", "precision": "bf16"},
    ),
    "resnet18, batch 128, crop and flip, bf16": (
        20,
        {"model": "resnet18", "batch_size": 128, "recipe": "sgd-cosine", "precision": "bf16"},
    ),
    "base-vit, batch 64, all of adamw-augmented, bf16": (
        5,
        {"model": "base-vit", "batch_size": 64, "recipe": "adamw-augmented", "precision": "bf16"},
    ),
}
TINY = {"tiny vit": (1, {"model": "vit", "dim": 16, "depth": 1, "heads": 2, "batch_size": 16})}


def work(section: Section) -> None:
    """Rows {"case", "bare_ms", "vitprobe_ms", "ratio"}: quartiles of the turns, per step."""
    cases, rounds = (TINY, 2) if section.dry_run else (CASES, 15)
    for name, (count, options) in cases.items():
        if section.time_left() < 8:
            section.add(case=name, why="no time left")
            continue
        with tempfile.TemporaryDirectory() as folder:
            pair = ways(folder, count, device=section.device, **options)
            seconds = interleave(pair, rounds, warm_up=2)
        bare, ours = seconds.values()
        section.add(
            case=name,
            bare_ms=quartiles(bare, 1e3 / count),
            vitprobe_ms=quartiles(ours, 1e3 / count),
            ratio=quartiles([our / their for our, their in zip(ours, bare, strict=True)]),
        )
