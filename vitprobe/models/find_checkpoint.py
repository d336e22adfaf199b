"""Finding a checkpoint that was named with the other of the two usual endings."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from vitprobe.errors import InputError, did_you_mean
from vitprobe.files import expanded, regular_file
from vitprobe.models.spec import WORDS

OTHER = {".pt": ".pth", ".pth": ".pt"}


def find_checkpoint(path: str | Path) -> Path:
    """The file of this name, or the one that ends in .pt instead of .pth, or the other way round.

    Raises InputError, with near names of files in its folder, where there is neither.
    """
    path = expanded(path, "checkpoint")
    other = path.with_suffix(OTHER.get(path.suffix, path.suffix)) if path.name else path
    for candidate in (path, other):
        if os.path.isfile(candidate):
            return candidate
    if os.path.lexists(path):  # but no file
        return regular_file(path, "checkpoint")
    if not os.path.isdir(path.parent):
        raise InputError(f"no checkpoint {path}: there is no folder {path.parent}")
    names = []
    with suppress(OSError):  # a folder that may not be read
        names = sorted(entry.name for entry in os.scandir(path.parent) if entry.is_file())
    near = did_you_mean(path.name, names) or did_you_mean(path.name, WORDS) or ": check the path"
    neither = "" if other == path else f", nor {other.name}"
    raise InputError(f"no checkpoint {path}{neither}{near}")
