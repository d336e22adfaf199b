"""Finding a checkpoint that was named with the other of the two usual endings."""

from __future__ import annotations

from pathlib import Path

from vitprobe.errors import InputError, did_you_mean

OTHER = {".pt": ".pth", ".pth": ".pt"}


def find_checkpoint(path: str | Path) -> Path:
    """The file of this name, or the one that ends in .pt instead of .pth, or the other way round.

    Raises InputError, with near names of files in its folder, where there is neither.
    """
    path = Path(path).expanduser()
    other = path.with_suffix(OTHER.get(path.suffix, path.suffix)) if path.name else path
    for candidate in (path, other):
        if candidate.is_file():
            return candidate
    if path.is_dir():
        raise InputError(f"checkpoint {path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise InputError(f"no checkpoint {path}: there is no folder {path.parent}")
    names = sorted(file.name for file in path.parent.iterdir() if file.is_file())
    near = did_you_mean(path.name, names) or ": check the path"
    neither = "" if other == path else f", nor {other.name}"
    raise InputError(f"no checkpoint {path}{neither}{near}")
