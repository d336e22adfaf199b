"""The files of a run: written whole or not at all, read back as data."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch

from vitprobe.errors import InputError, option, stop_behind
from vitprobe.files import expanded
from vitprobe.lock import Lock
from vitprobe.text import printable
from vitprobe.training.state import read_state
from vitprobe.writing import check_folder, write_file


class RunFiles:
    """`<model_name>.pt` (best by validation), `.last.pt`, `.safetensors` and `.csv` in a folder,
    and weights of some epochs, `.epoch-005.safetensors`.

    Each is written whole or not at all, and `.last.pt` last: a run that is killed between two of
    them writes them again when it is resumed. Raises InputError for a folder that is no path.

    keeps: whether weights of epochs will be written.
    """

    def __init__(self, folder: str | Path, model_name: str, keeps: bool = False):
        self.folder = expanded(folder, option("output"))
        self.model_name, self._keeps = model_name, keeps
        self._good: Path | None = None
        base = self.folder / model_name
        self.best, self.last, self.weights, self.table, self.board = (
            base.with_name(base.name + end)
            for end in (".pt", ".last.pt", ".safetensors", ".csv", ".tensorboard")
        )
        self._lock = Lock(
            self.folder / f".{model_name}.lock",
            f"the run {printable(base)}",
            f"give another {option('model_name')} or {option('output')}",
        )

    @property
    def names(self) -> list[str]:
        """Of the files that are written."""
        paths = (self.best, self.last, self.weights, self.table)
        return [path.name for path in (*paths, *([self.of_epoch(0)] if self._keeps else []))]

    def of_epoch(self, epoch: int) -> Path:
        """Where the weights after so many epochs are kept; 0: before the first step."""
        return self.folder / f"{self.model_name}.epoch-{epoch:03}.safetensors"

    def kept(self) -> list[Path]:
        """Weights of epochs that are there, in the order of the epochs."""
        name = re.compile(re.escape(self.model_name) + r"\.epoch-(\d{3,})\.safetensors")
        found = self.folder.iterdir() if self.folder.is_dir() else []
        named = [(match, path) for path in found if (match := name.fullmatch(path.name))]
        return [path for match, path in sorted(named, key=lambda each: int(each[0][1]))]

    def check_writable(self) -> None:
        """Try the folder with the names, and make it; what killed runs left unfinished goes away.

        Raises InputError where that fails.
        """
        check_folder(self.folder, self.names)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            where = f"{option('output')} {printable(self.folder)}"
            raise InputError(
                f"cannot write to {where}: {error.strerror or error}; name another folder"
            ) from error

    @contextmanager
    def held(self, first: bool = True) -> Iterator[str]:
        """In here no other process has this run; gives a note where a killed one was taken over.

        first: whether this is the process that writes; the others do nothing. Raises InputError
        where a living process has it, or the folder cannot be written to.
        """
        if not first:
            yield ""
            return
        self.check_writable()
        with self._lock as lock:
            yield lock.note

    def holds(self, path: str | Path) -> bool:
        """Whether that file is one that this run writes."""
        own = (self.best, self.last, self.weights, *self.kept())
        return expanded(path, "checkpoint").resolve() in [each.resolve() for each in own]

    def forget(self) -> None:
        """What is there is of another run than the one that begins."""
        self._good = None

    def good(self) -> str:
        """What a reader of an error wants to know: which checkpoint of this run is whole."""
        if self._good is None:
            return "no checkpoint was written yet"
        return f"the last good checkpoint is {printable(self._good)}"

    def write_last(self, state: Mapping[str, Any]) -> None:
        """Where to go on from."""
        self._write(self.last, lambda file: torch.save(dict(state), file))
        self._good = self.last

    def write_best(self, state: Mapping[str, Any]) -> None:
        """The best epoch so far: all of the run's state, and the weights alone."""
        self._write(self.best, lambda file: torch.save(dict(state), file))
        self._good = self._good or self.best
        self._write_weights(self.weights, state)

    def write_kept(self, state: Mapping[str, Any]) -> None:
        """The weights alone, for good, after as many epochs as the state has."""
        self._write_weights(self.of_epoch(state["epoch"]), state)

    def remove_kept(self) -> None:
        """A run that begins has no epochs yet: those that are there are of the one it replaces."""
        for path in self.kept():
            path.unlink(missing_ok=True)

    def _write_weights(self, path: Path, state: Mapping[str, Any]) -> None:
        weights = state["model_state_dict"]
        plain = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
        about = {key: state[key] for key in ABOUT if key in state}
        metadata = {"format": "pt"} | {key: json.dumps(value) for key, value in about.items()}
        whole = safetensors.torch.save(plain, metadata=metadata)
        self._write(path, lambda file: file.write(whole))

    def write_table(self, history: Mapping[str, list]) -> None:
        """One line an epoch."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(history)
        writer.writerows(zip(*history.values(), strict=True))
        self._write(self.table, lambda file: file.write(text.getvalue().encode()))

    def read_last(
        self, way_out: str = "remove it to start afresh"
    ) -> tuple[dict[str, Any] | None, str]:
        """The state to go on from and a note; None where there is none.

        Where the newest file is damaged, the best one serves, which is as complete. Raises
        InputError, which ends in the way out, where a file is there and neither can be read.
        """
        found = [path for path in (self.last, self.best) if path.exists()]
        notes = []
        for path in found:
            try:
                state = read_state(path)
                self._good = path
                return state, "; ".join([*notes, f"going on from {path}"])
            except InputError as error:
                notes.append(str(error))
        if found:
            raise InputError(f"{'; '.join(notes)}; {way_out}")
        return None, ""

    def _write(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        """All of the file or, on any failure, what was there before; the folder, where it went."""
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True)
                if self._lock.held:
                    self._lock.take()
            write_file(path, write)
        except (OSError, RuntimeError) as error:  # torch's writer has errors of its own
            if (stop := stop_behind(error)) is not None:  # and hides what stopped it
                raise stop from None
            reason = _reason(error)
            raise InputError(f"cannot write {printable(path)}: {reason}; {self.good()}") from error


def _reason(error: BaseException) -> str:
    """The system's word for it, which torch's writer hides behind a failure of its own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__context__
    return str(error).strip().splitlines()[0]


# What the weights alone need to be used again.
ABOUT = (
    "model_name",
    "epoch",
    "architecture",
    "normalization",
    "class_names",
    "image_size",
    "settings",
    "command",
)
