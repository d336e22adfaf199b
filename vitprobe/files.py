"""Opening what a user names: regular files only, so that nothing waits for ever or has no end."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from vitprobe.errors import InputError
from vitprobe.text import printable

KINDS = {  # what a path may be besides a file
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def expanded(path: str | Path, what: str) -> Path:
    """The path with `~` and `~user` replaced.

    what: it is called so in errors: `checkpoint`, `--output`. Raises InputError for an empty path,
    one with a NUL in it, and a user that does not exist.
    """
    text = str(path)
    if not text.strip() or "\0" in text:
        raise InputError(f"{what} {printable(text)!r} is no path: name a file or folder")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # pathlib's word for a home that cannot be told
        raise InputError(
            f"{what} {printable(text)}: no such user: write the path in full"
        ) from error


def open_file(path: str | Path, what: str, most: int | None = None) -> BinaryIO:
    """A regular file (a link to one, too), open for reading from its first byte.

    most: bytes; a larger file is refused. Raises InputError for what is missing, unreadable, too
    large, or a folder, pipe, device or socket, which is never read from.
    """
    where = expanded(path, what)
    try:
        # a pipe without a writer would otherwise keep `open` waiting
        descriptor = os.open(where, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        raise InputError(f"no {what} {printable(path)}: check the path") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {what} {printable(path)}: {_why(error)}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
            raise InputError(f"{what} {printable(path)} is {kind}: name a file")
        if most is not None and status.st_size > most:
            raise InputError(
                f"{what} {printable(path)} has {status.st_size:,} bytes, more than the {most:,} "
                "that are read"
            )
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def regular_file(path: str | Path, what: str, most: int | None = None) -> Path:
    """`open_file`'s checks, for libraries that open a file by its name: its path."""
    open_file(path, what, most).close()
    return expanded(path, what)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
