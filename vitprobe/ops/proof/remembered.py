"""What was found out about a machine's kernels, kept in the user's cache folder.

One file for each key: the device's name and abilities, its driver, torch, the compiled library.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vitprobe.ops.proof.question import Answers, as_json, from_json
from vitprobe.writing import write_file

FORMAT = 1  # of the file, and of the cases that its answers come from
_MOST = 2**20  # bytes that are read of a file


def cache_folder() -> Path | None:
    """`$XDG_CACHE_HOME/vitprobe/kernels`, or that of `~/.cache`; None without a home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    with suppress(RuntimeError):  # pathlib's word for a home that cannot be told
        home = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
        return home / "vitprobe" / "kernels"
    return None


def file_of(key: dict[str, str]) -> str:
    """Its name: the device's, and a hash of the whole key."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    name = re.sub(r"[^A-Za-z0-9]+", "-", key["device"]).strip("-")[:60]
    return f"{name}-{digest[:16]}.json"


class Remembered(NamedTuple):
    answers: Answers
    written: float  # when, in seconds since 1970


def read(path: Path, key: dict[str, str]) -> Remembered | None:
    """What the file holds for this key; None where there is none, or it is damaged."""
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read(_MOST))
            written = os.fstat(file.fileno()).st_mtime
        if content["format"] != FORMAT or content["key"] != key:
            return None
        return Remembered(from_json(content["answers"]), written)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def write(path: Path, key: dict[str, str], answers: Answers) -> None:
    """All of it or nothing; raises OSError."""
    content = {"format": FORMAT, "key": key, "answers": as_json(answers)}
    write_file(path, lambda file: file.write(json.dumps(content, indent=1).encode()))
