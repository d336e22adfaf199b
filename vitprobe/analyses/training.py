"""The history of a training run, from the table beside its checkpoint."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from safetensors import SafetensorError, safe_open

from vitprobe.errors import InputError
from vitprobe.files import open_file, regular_file
from vitprobe.passes.provenance import as_attribute
from vitprobe.text import printable
from vitprobe.training.history import History
from vitprobe.training.state import COLUMNS

MOST = 2**24  # bytes of a table
NAMES = {
    "train_loss": ("training loss, while the weights change", "nats"),
    "val_loss": ("cross entropy of the validation images", "nats"),
    "val_accuracy": ("accuracy on the validation images", "1"),
    "test_loss": ("cross entropy of the test images", "nats"),
    "accuracy": ("accuracy on the test images", "1"),
    "lr": ("learning rate of the last step", "1"),
    "seconds": ("time of the epoch", "s"),
}
TOLD = {  # settings -> attributes
    **{key: key for key in ("mode", "dataset", "recipe", "optimizer", "batch_size", "seed")},
    "model": "architecture",
}


def training_result(path: str | Path) -> xr.Dataset:
    """What `vitprobe train` recorded of every epoch, as a result that a page can show.

    path: the run's `.csv`. Of the `.safetensors` beside it, where there is one, its settings and
    its command are told.

    Returns:
        Dataset over `epoch`, float64: `train_loss`, `val_loss`, `test_loss` (nats), `val_accuracy`
        and `accuracy` (shares of 1; of the validation and the test images), `lr`, `seconds`.
        Attributes: `analysis` (`training`), `model` (the run's name), `best_epoch` (which the
        validation images chose).

    Raises:
        InputError: the file cannot be read, or is no such table.
    """
    columns = _read(path)
    variables = {
        name: ("epoch", np.array(columns[name]), {"long_name": words, "units": units})
        for name, (words, units) in NAMES.items()
    }
    epochs = np.array(columns["epoch"], dtype=np.int64)
    attrs = {
        "analysis": "training",
        "model": printable(Path(path).stem, None),
        "best_epoch": int(epochs[History(columns).best]),
        **_told(Path(path).with_suffix(".safetensors")),
    }
    return xr.Dataset(variables, {"epoch": epochs}, attrs)


def _read(path: str | Path) -> dict[str, list[float]]:
    with open_file(path, "table of a training run", MOST) as file:
        data = file.read()
    wrong = (
        f"{printable(path)} is no table of a training run: name the .csv that vitprobe train wrote"
    )
    try:
        first, *lines = csv.reader(data.decode().splitlines())
        rows = [[float(cell) for cell in line] for line in lines]
    except (ValueError, csv.Error) as error:  # UnicodeDecodeError is a ValueError
        raise InputError(wrong) from error
    if tuple(first) != COLUMNS or not rows or any(len(row) != len(COLUMNS) for row in rows):
        raise InputError(wrong)
    columns = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    if columns["epoch"] != [float(number) for number in range(1, len(rows) + 1)]:
        raise InputError(wrong)
    return columns


def _told(weights: Path) -> dict[str, Any]:
    """Command and settings, from the weights beside the table; nothing where they say nothing."""
    try:
        with safe_open(regular_file(weights, "checkpoint"), framework="np") as file:
            held = {key: json.loads(text) for key, text in (file.metadata() or {}).items()
                    if key in ("command", "settings")}  # fmt: skip
    except (InputError, SafetensorError, OSError, ValueError, RecursionError):
        return {}
    settings = held.get("settings")
    known = settings if isinstance(settings, dict) else {}
    told = {TOLD[key]: as_attribute(known[key]) for key in TOLD if key in known}
    return {"command": as_attribute(held.get("command"))} | told
