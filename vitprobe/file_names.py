"""Names of files made of what users and files call things: safe, and no longer than is allowed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

LONGEST = 160  # bytes; most file systems take 255, of which endings need some
LEAST = 24  # bytes in which a shortened part still says something


def file_word(text: str) -> str:
    """The text in characters that any file system takes."""
    return re.sub(r"[^\w.@-]+", "_", text)


def joined(parts: Sequence[str], longest: int = LONGEST) -> str:
    """The parts with dashes between them; where that is too long, the long parts are shortened."""
    whole = "-".join(parts)
    share = longest // len(parts) - 1
    if len(_bytes(whole)) > longest and share >= LEAST:
        whole = "-".join(shortened(part, share) for part in parts)
    return shortened(whole, longest)


def shortened(name: str, longest: int = LONGEST) -> str:
    """The name; of one that has more bytes its beginning and eight digits of its SHA-256."""
    held = _bytes(name)
    if len(held) <= longest:
        return name
    digest = hashlib.sha256(held).hexdigest()[:8]
    return f"{held[: longest - 9].decode(errors='ignore')}-{digest}"


def distinct(names: Sequence[str]) -> list[str]:
    """The same names; those that occur more than once, upper and lower case alike, get numbers."""
    folded = [name.casefold() for name in names]
    taken = set(folded)
    found = []
    for name, key in zip(names, folded, strict=True):
        number = 1
        while folded.count(key) > 1 and f"{key}-{number}" in taken:
            number += 1
        found.append(f"{name}-{number}" if folded.count(key) > 1 else name)
        taken.add(found[-1].casefold())
    return found


def _bytes(name: str) -> bytes:
    return name.encode(errors="backslashreplace")
