"""A file that keeps others out: one process at a time, and what a killed one held is taken over."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from vitprobe.errors import InputError
from vitprobe.owner import Owner, scratch_path
from vitprobe.text import printable

LOOK_EVERY = 0.02  # seconds
UNKNOWN = Owner(0, "", "", "")


class Lock:
    """`with Lock(path, what, way_out):` nobody else is within the same.

    The file holds its owner's `Owner.word`. It is taken over where that process has ended, and
    `note` says so then; where it lives, or is on another machine, InputError says what to do. Gone
    at the end of the block, however that ends. held: whether this process has it.

    what: is held: `the run vit in checkpoints`. way_out: what else the user can do. patience:
    seconds that another owner is waited for.
    """

    def __init__(self, path: Path, what: str, way_out: str, patience: float = 0.0):
        self.path, self.what, self.way_out, self.patience = path, what, way_out, patience
        self.note, self.held = "", False

    def __enter__(self) -> Lock:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def stale(self) -> bool:
        """Whether one that has ended left it."""
        try:
            file = _opened(self.path)
        except OSError:
            return False
        try:
            owner = Owner.read(_text(file))
        finally:
            os.close(file)
        return owner is not None and owner.gone

    def take(self) -> None:
        """Raises InputError where it is another's, OSError where the folder is not to be written
        to."""
        self._owner = Owner.own()
        until = time.monotonic() + self.patience
        while not (self._create() or self._take_over()):
            if self._holder is not None and time.monotonic() >= until:
                raise InputError(self._refusal(self._holder))
            time.sleep(LOOK_EVERY)
        self.held = True

    def release(self) -> None:
        """Of this process's own lock, and of that only: a forked child's is its parent's."""
        self.held = False
        with suppress(OSError):
            if self._owner == Owner.own() and self.path.read_text() == self._owner.word:
                self.path.unlink()

    def _create(self) -> bool:
        """A link makes the file with what it holds at once; nobody sees it empty."""
        scratch = scratch_path(self.path.parent)
        try:
            scratch.write_text(self._owner.word)
            try:
                os.link(scratch, self.path)
            except FileExistsError:
                return False
            except OSError:  # a file system without links
                with open(self.path, "x") as file:
                    file.write(self._owner.word)
        except FileExistsError:
            return False
        finally:
            scratch.unlink(missing_ok=True)
        return True

    def _take_over(self) -> bool:
        """Whether the file's owner has ended and this process has got it.

        `_holder` is who has it otherwise, None where that has changed meanwhile.
        """
        self._holder = None
        try:
            file = _opened(self.path)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # of several that look, one at a time does
            if not os.path.samestat(os.fstat(file), os.stat(self.path)):
                return False
            self._holder = Owner.read(_text(file)) or UNKNOWN
            if not self._holder.gone:
                return False
            scratch = scratch_path(self.path.parent)
            scratch.write_text(self._owner.word)
            os.replace(scratch, self.path)
        except FileNotFoundError:
            return False
        finally:
            os.close(file)
        self.note = f"{self.what} was left by process {self._holder.pid}, which has ended"
        return True

    def _refusal(self, holder: Owner) -> str:
        if holder == UNKNOWN:
            who, so = "another process", f"if it has ended, remove {printable(self.path)}; else "
        elif holder.near:
            who, so = f"process {holder.pid}", "wait for it, or "
        else:
            who = f"process {holder.pid} on {holder.host}, which cannot be seen from here"
            so = f"if it has ended, remove {printable(self.path)}; else "
        return f"{self.what} is in use by {who}: {so}{self.way_out}"


def _text(file: int) -> str:
    with suppress(OSError):  # of a pipe or a folder
        return os.read(file, 1000).decode(errors="replace")
    return ""


def _opened(path: Path) -> int:
    """Never waits; for writing where that is allowed, since NFS locks nothing else."""
    try:
        return os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except (PermissionError, IsADirectoryError):
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)
