"""What a person at the terminal sees of a run."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from vitprobe.text import printable, wrapped
from vitprobe.training.parts import Parts
from vitprobe.training.settings import MODES, Settings
from vitprobe.training.trainee import Trainee

INDENT = 10  # characters of the words that lines begin with


class Report:
    """A line for each epoch on stdout and, at a terminal, a counter of steps on stderr.

    shown: False prints nothing at all. width: of the terminal, at which lines are broken; None:
    that of stdout, where it is one.
    """

    def __init__(self, shown: bool, width: int | None = None):
        self.shown = shown
        self._counts = shown and sys.stderr.isatty()
        if width is None and shown and sys.stdout.isatty():
            width = shutil.get_terminal_size().columns
        self._width = width

    def line(self, text: str) -> None:
        if not self.shown:
            return
        text = printable(text, None)
        print(text if self._width is None else wrapped(text, self._width, INDENT), flush=True)

    def step(self, epoch: int, step: int, steps: int) -> None:
        if self._counts:
            print(f"\repoch {epoch + 1}: step {step}/{steps} ", end="", file=sys.stderr, flush=True)

    def epoch(self, row: dict[str, Any], epochs: int) -> None:
        if self._counts:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        width = len(str(epochs))
        self.line(
            f"epoch {row['epoch']:{width}}/{epochs}   loss {row['train_loss']:.4f}   validation "
            f"{row['val_loss']:.4f} {row['val_accuracy']:6.1%}   test {row['test_loss']:.4f} "
            f"{row['accuracy']:6.1%}   lr {row['lr']:.2e}   {row['seconds']:.1f} s"
        )

    def begin(self, settings: Settings, parts: Parts, trainee: Trainee, *notes: str) -> None:
        """What is going to be trained, on what, and how."""
        size = " x ".join(str(side) for side in trainee.transform.image_size)
        mean, std = (
            ", ".join(f"{value:.4g}" for value in dict.fromkeys(values))
            for values in (trainee.transform.mean, trainee.transform.std)
        )
        sizes = ", ".join(
            f"{len(part.rows):,} {what}"
            for part, what in (
                (parts.train, "to train on"),
                (parts.validation, "to choose the best epoch by"),
                (parts.test, "to test"),
            )
        )
        self.line(f"mode      {settings.mode}: {MODES[settings.mode]}; trained: {trainee.trained}")
        self.line(f"model     {trainee.note}; {trainee.parameters:,} parameters")
        self.line(f"images    {settings.dataset}, {size} px: {sizes}; mean {mean}, std {std}")
        self.line(
            f"recipe    {settings.recipe}: {settings.optimizer}, lr {settings.lr:g}, batch "
            f"{settings.batch_size}, {settings.epochs} epochs, seed {settings.seed}"
        )
        for text in (parts.note, *notes):
            if text:
                self.line(f"note: {text}")
