"""Writing files: each whole or not at all, and those that belong together all or none.

Nothing is ever written in its place. A scratch file or folder beside it, whose name says which
process it is of, is filled, brought to the disk and renamed. What a process that was killed left is
found by its name: `sweep` removes what was unfinished, and finishes what was decided.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from vitprobe.errors import InputError, option
from vitprobe.files import KINDS, expanded
from vitprobe.lock import Lock
from vitprobe.owner import PREFIX, owner_of, scratch_path
from vitprobe.text import printable

READY = ".ready"
PATIENCE = 30.0  # seconds for another process to put its files in place: that is renaming them

# What `write_together` has put in place in this process: a command that is stopped says so.
WRITTEN: list[Path] = []


def check_folder(folder: str | Path, names: Iterable[str] = (), name: str = "output") -> Path:
    """The folder, `~` replaced, tried for files of these names before any work is done.

    name: of the option that said it.

    It is not made; what killed processes left in it is finished or removed.

    Raises:
        InputError: it, or the nearest folder above it that exists, cannot be written to; a name is
            too long for it; or what has such a name there is no file.
    """
    said, names = option(name), list(names)
    if not str(folder).strip():
        raise InputError(f"{said} is empty: name a folder, or . for this one")
    path = expanded(folder, said)
    try:
        whole = path.resolve() if ".." in path.parts else path.absolute()
        nearest = next(each for each in (whole, *whole.parents) if os.path.lexists(each))
        for name in names:
            check_target(path / name)
        if nearest == whole and nearest.is_dir():
            sweep(nearest)
        _try(nearest, whole.relative_to(nearest), names)
    except OSError as error:
        other = (
            "give a shorter name" if error.errno == errno.ENAMETOOLONG else "name another folder"
        )
        raise InputError(
            f"cannot write to {said} {printable(folder)}: {error.strerror or error}; {other}"
        ) from error
    return path


def check_target(path: Path) -> None:
    """Raise InputError where there is something that no file can take the place of."""
    try:
        kind = stat.S_IFMT(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return
    if kind not in (stat.S_IFREG, stat.S_IFLNK):
        what = KINDS.get(kind, "no regular file")
        why = os.strerror(errno.EISDIR) if kind == stat.S_IFDIR else f"it is {what}"
        raise InputError(f"cannot write {printable(path)}: {why}; move it away, or write elsewhere")


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """All of the file or, on any failure, what was there before. write: is given it, open.

    Raises OSError, and what `write` raises.
    """
    scratch = scratch_path(path.parent)
    try:
        with open(scratch, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def write_together(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """All of these files (name -> contents) in the folder, which is made, or none.

    They are written into a scratch folder. Renaming that to `.ready` decides: before, nothing of
    them counts; from then on they are moved to their names one after another, also when the process
    is stopped meanwhile. Where it is killed there, the next one that writes here moves the rest
    first. So a reader always meets whole files; old ones beside new ones only while a `.ready`
    folder is there too.

    Raises:
        InputError: a target is no file, or another process does not end its own moving.
        OSError: the disk refuses. Nothing was changed in either case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scratch = scratch_path(folder)
    ready = scratch.with_suffix(READY)
    paths = [folder / name for name in files]
    try:
        scratch.mkdir()
        for name, data in files.items():
            with open(scratch / name, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        _sync(scratch)
        with _moving(folder):
            _finish_left(folder)  # an older run's files go first
            for path in paths:
                check_target(path)
            os.rename(scratch, ready)
            try:
                _move(ready, folder)
            except BaseException:  # Ctrl-C, most likely: it is decided already
                _move(ready, folder)
                raise
            finally:
                if not ready.exists():
                    WRITTEN.extend(paths)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return paths


def sweep(folder: Path) -> None:
    """Finish or remove what processes left here that have ended."""
    left, lock = _left(folder), _moving(folder)
    if lock.stale or any(path.suffix == READY for path in left):
        with lock:
            _finish_left(folder)
    for path in left:
        if path.suffix == READY:  # gone, or what it holds has no place now: it is kept
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _try(nearest: Path, missing: Path, names: list[str]) -> None:
    """Make the folders that are missing, and a file of the longest name, in a scratch folder."""
    scratch = scratch_path(nearest)
    longest = max(names, key=lambda name: len(os.fsencode(name)), default="file")
    try:
        (scratch / missing).mkdir(parents=True)
        with open(scratch / missing / longest, "xb") as file:
            file.write(b"\n")
            file.flush()
            os.fsync(file.fileno())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _moving(folder: Path) -> Lock:
    what = f"the folder {printable(folder)}"
    return Lock(folder / ".vitprobe.lock", what, "name another folder", PATIENCE)


def _left(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if path.name.startswith(PREFIX)]
    owners = ((path, owner_of(path)) for path in sorted(found))
    return [path for path, owner in owners if owner is not None and owner.gone]


def _finish_left(folder: Path) -> None:
    for path in _left(folder):
        if path.suffix == READY:
            with suppress(OSError):
                _move(path, folder)


def _move(ready: Path, folder: Path) -> None:
    """What is still in there to its name; as often as is needed."""
    if not ready.exists():
        return
    for path in sorted(ready.iterdir()):
        os.replace(path, folder / path.name)
    ready.rmdir()
    _sync(folder)


def _sync(folder: Path) -> None:
    """Bring a folder's names to the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
