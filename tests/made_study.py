"""A study to be run, and a `train` that trains nothing."""

from pathlib import Path
from types import SimpleNamespace

TEXT = """
[study]
title = "Three models"
dataset = "digits"
seeds = [3, 1]
fractions = [0.1, 1.0]

[train]
epochs = 4
batch-size = 32

[[model]]
model = "vit"
label = "small ViT"
patch_size = 8
epochs = 5

[[model]]
model = "resnet20"

[[pretraining]]
dataset = "none"

[[pretraining]]
dataset = "digits"
label = "pre"
epochs = 7
lr = 0.01
"""


def write(folder: Path, text: str = TEXT, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


class FakeTrain:
    """Records its calls; the accuracy tells the call's fraction, seed and checkpoint.

    fail: model_name -> the error that is raised instead.
    """

    def __init__(self, fail=None):
        self.calls, self.fail = [], fail or {}

    def __call__(self, mode=None, *, resume=False, progress=False, config=None, **options):
        self.calls.append({"mode": mode, "resume": resume, "progress": progress} | options)
        name = options["model_name"]
        if name in self.fail:
            raise self.fail[name]
        return made_result(mode, **options)


def made_result(mode, *, epochs=2, checkpoint=None, fraction=None, seed=0, output="", **options):
    """Histories of `epochs` epochs, of which the second is best; 32 % + 1 % a seed, and so on."""
    accuracy = 0.32 + 0.01 * seed + 0.2 * (fraction or 0) + (0.1 if checkpoint else 0)
    history = {
        "epoch": list(range(1, epochs + 1)),
        "train_loss": [2.0 / epoch for epoch in range(1, epochs + 1)],
        "val_accuracy": [0.4 if epoch == 2 else 0.3 for epoch in range(1, epochs + 1)],
        "accuracy": [accuracy if epoch == 2 else 0.9 for epoch in range(1, epochs + 1)],
        "seconds": [1.5] * epochs,
    }
    settings = {"mode": mode, "epochs": epochs, "seed": seed} | options
    path = Path(output) / f"{options['model_name']}.pt"
    return SimpleNamespace(
        path=path,
        last=path.with_suffix(".last.pt"),
        model_name=options["model_name"],
        settings=SimpleNamespace(as_dict=lambda: settings),
        history=history,
        best_epoch=2,
        test_accuracy=accuracy,
        parameters={"vit": 1000, "resnet20": 2000}.get(options["model"], 0),
    )
