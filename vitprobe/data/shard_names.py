"""The shards that a pattern means, and which of them can be read at any place."""

from __future__ import annotations

import glob
import os
import re

from vitprobe.data.extras import library
from vitprobe.data.layout import natural
from vitprobe.errors import InputError
from vitprobe.files import open_file
from vitprobe.text import printable

_SCHEME = re.compile(r"[A-Za-z][\w+.-]+:")
_COMPRESSED = {
    b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ": "lzma", b"\x28\xb5\x2f\xfd": "zstd",
}  # fmt: skip


def shard_names(pattern: str) -> list[str]:
    """Paths and URLs, in order: brace ranges (`a-{00..12}.tar`), globs, `::` between several.

    Of a glob the files are in natural order. Raises InputError for a shard that does not exist,
    a glob without files and braces that do not pair.
    """
    braces, found, missing = library("braceexpand", "wds"), [], []
    for part in pattern.split("::"):
        if os.path.isfile(os.path.expanduser(part)):  # its name may have braces
            found.append(os.path.expanduser(part))
            continue
        try:
            names = list(braces.braceexpand(part))
        except ValueError as error:
            raise InputError(f"wds:{printable(pattern)}: the braces do not pair") from error
        for name in names:
            path = os.path.expanduser(name.removeprefix("file://").removeprefix("file:"))
            files = [path]
            if not is_remote(path) and not os.path.isfile(path):
                files = filter(os.path.isfile, glob.glob(path, recursive=True))
                files = sorted(files, key=natural)
            found += files
            missing += [] if files else [path]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        folder = ": of a folder give FOLDER/*.tar" if os.path.isdir(missing[0]) else ""
        where = f"wds:{printable(pattern)}"
        raise InputError(f"{where}: no shard {printable(missing[0])}{more}{folder}")
    return found


def is_remote(name: str) -> bool:
    """Whether a shard is a URL, `pipe:COMMAND` or `-` (standard input)."""
    return name == "-" or bool(_SCHEME.match(name))


def compression(path: str) -> str:
    """The module that a local shard's compression needs; "" where it has none."""
    with open_file(path, "shard") as file:
        start = file.read(8)
    return next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), "")
