"""What is recorded of every epoch, and where it can be seen."""

from __future__ import annotations

import math
from typing import Any

from vitprobe.training.files import RunFiles
from vitprobe.training.state import COLUMNS


class History:
    """A list for each of COLUMNS, with one number for each finished epoch (1, 2, ...).

    train_loss: mean over the epoch's images, while the weights change; with the label smoothing
    and mixing of the recipe. val_loss, test_loss: mean cross entropy at the epoch's end (nats).
    val_accuracy, accuracy (of the test images): shares in [0, 1]. lr: of the epoch's last step.
    """

    def __init__(self, columns: dict[str, list] | None = None):
        self.columns = columns or {name: [] for name in COLUMNS}

    def add(self, **values: float) -> None:
        """One epoch's values, one for each column."""
        for name in COLUMNS:
            self.columns[name].append(values[name])

    @property
    def best(self) -> int:
        """The index of the best epoch: highest validation accuracy, then lowest loss, then first.

        Nothing of the test images has a say in it.
        """
        ranks = zip(self.columns["val_accuracy"], self.columns["val_loss"], strict=True)
        keyed = [
            (-accuracy, math.inf if math.isnan(loss) else loss, i)
            for i, (accuracy, loss) in enumerate(ranks)
        ]
        return min(keyed)[2]

    def __len__(self) -> int:
        return len(self.columns["epoch"])

    def row(self, index: int = -1) -> dict[str, Any]:
        return {name: values[index] for name, values in self.columns.items()}


class Board:
    """TensorBoard's event files, where TensorBoard is installed."""

    def __init__(self, files: RunFiles, epochs_done: int):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._writer = None
        else:
            self._writer = SummaryWriter(str(files.board), purge_step=epochs_done + 1)

    def add(self, row: dict[str, Any]) -> None:
        if self._writer is None:
            return
        for name in COLUMNS[1:]:
            self._writer.add_scalar(name, row[name], row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
