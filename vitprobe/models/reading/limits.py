"""What a file may ask of its reader: no more bytes than it has for, no costly keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from vitprobe.models.reading.placeholder import Placeholder

HASHABLE = {str, bytes, int, float, complex, bool, type(None), torch.dtype, torch.Tensor}
HASHABLE.add(Placeholder)
PARTS = 64  # of a tuple that is a key, those of its tuples included
BITS = 1 << 12  # of an integer that is a key


class Refused(ValueError):
    """What a file asks for and does not get, in a few words of ours: none of the file's."""


class Room:
    """Bytes that may still be allocated on a file's behalf, beside the pickle's own objects.

    Whatever an honest file makes its reader allocate (storages, arrays, bytes written as text) is
    written in it, and is copied twice at most on the way. A file that names the same thing again
    and again, or lies about sizes, runs out of room.
    """

    COPIES = 4

    def __init__(self, file_bytes: int):
        self.file_bytes = file_bytes
        self.left = self.COPIES * file_bytes

    def take(self, nbytes: int) -> None:
        """Raise Refused where the file has no room for so many bytes."""
        if not 0 <= nbytes <= min(self.left, self.file_bytes):
            raise Refused("it asks for more bytes than it has")
        self.left -= nbytes


def checked_key(key: Any) -> Any:
    """The key of a dict or set itself, where hashing it is cheap; raises Refused where not.

    Python hashes tuples recursively, in C and without a memory: a deep one would end the process,
    and one whose tuples are shared, level after level, would take for ever.
    """
    if type(key) is str:
        return key
    todo, parts = [key], 1
    while todo:
        part = todo.pop()
        if type(part) in (tuple, frozenset):
            parts += len(part)
            if parts > PARTS:
                raise Refused("a key of a dict or set is too large")
            todo.extend(part)
        elif type(part) not in HASHABLE or type(part) is int and part.bit_length() > BITS:
            raise Refused("a key of a dict or set is of a kind that cannot be one")
    return key


def dict_of(flat: list[Any]) -> dict[Any, Any]:
    """A dict of [key, value, key, value ...]."""
    if len(flat) % 2:
        raise Refused("a dict has a key without a value")
    return {checked_key(flat[i]): flat[i + 1] for i in range(0, len(flat), 2)}


def set_of(items: Iterable[Any]) -> set[Any]:
    """The set of these items; raises `Refused` for one that cannot be a key."""
    return {checked_key(item) for item in items}
