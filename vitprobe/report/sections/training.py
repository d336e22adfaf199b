"""Training runs, epoch by epoch: losses, accuracies and the learning rate."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from vitprobe.report.kinds import Axis, Lines, Series
from vitprobe.report.layers import labels_of

EPOCH = Axis("epoch")
AXES = {"Loss": Axis("cross entropy", unit="nats"), "Accuracy": Axis("accuracy", unit="%")}
PARTS = {  # what the lines of one run are called
    "Loss": {"train_loss": "training", "val_loss": "validation", "test_loss": "test"},
    "Accuracy": {"val_accuracy": "validation", "accuracy": "test"},
}


def figures(results: Sequence[xr.Dataset]) -> list[Lines]:
    """Of one run its losses together, and its accuracies; of several a figure for each quantity,
    with a line for each run."""
    runs = list(zip(results, labels_of(results), strict=True))
    best = [f"epoch {int(run.attrs['best_epoch'])} of {label}" for run, label in runs]
    chosen = f"The best by validation: {', '.join(best)}."
    found: list[Lines] = []
    for (name, axis), parts in zip(AXES.items(), PARTS.values(), strict=True):
        if len(runs) == 1:
            ((run, label),) = runs
            series = [_line(run, key, words) for key, words in parts.items()]
            found.append(
                Lines(f"{name}, {label}", EPOCH, axis, series, caption="" if found else chosen)
            )
            continue
        for key, words in parts.items():
            series = [_line(run, key, label) for run, label in runs]
            caption = "" if found else chosen
            found.append(Lines(f"{name}, {words} images", EPOCH, axis, series, caption=caption))
    rates = [_line(run, "lr", label) for run, label in runs]
    return [*found, Lines("Learning rate", EPOCH, Axis("of the epoch's last step"), rates)]


def _line(result: xr.Dataset, key: str, name: str) -> Series:
    values = result[key].values.astype(float)
    shares = key in PARTS["Accuracy"]
    epochs = result["epoch"].values.astype(float)
    return Series(name, 100 * values if shares else values, epochs, dashed=name == "training")
