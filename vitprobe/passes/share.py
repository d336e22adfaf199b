"""Which batches of a run are whose: batch t belongs to share t mod W."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vitprobe.errors import InputError, option

MOST = 2**24  # batches of a run; a file that speaks of more is not believed


@dataclass(frozen=True)
class Share:
    """Batches `index`, `index + count`, ... of the run; the whole run where count is 1."""

    index: int = 0
    count: int = 1

    @classmethod
    def read(cls, text: str) -> Share:
        """`3/8`: the third of eight.

        Raises:
            InputError: another text, or no share that there is.
        """
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip())
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise InputError(f"{option('shard')} takes one such as 3/8, not {text!r}")
        return cls(int(match[1]) - 1, int(match[2]))

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"

    @property
    def suffix(self) -> str:
        """What its files are called by: `.shard-3-of-8`."""
        return f".shard-{self.index + 1}-of-{self.count}"

    def wants(self, number: int) -> bool:
        """Whether the batch of this number is in it."""
        return number % self.count == self.index

    def part(self, index: int, count: int) -> Share:
        """Of its own batches every `count`-th, from its `index`-th on."""
        return Share(self.index + self.count * index, self.count * count)

    def numbers(self, total: int) -> set[int]:
        """Of a run of so many batches, those in it."""
        return set(range(self.index, total, self.count))


def as_ranges(numbers: Iterable[int]) -> str:
    """`0-3, 7, 9-10`: short, however many there are; every second one as `0-8:2`."""
    ordered, found, start = sorted(numbers), [], 0
    while start < len(ordered):
        step = ordered[start + 1] - ordered[start] if start + 1 < len(ordered) else 1
        end = start
        while end + 1 < len(ordered) and ordered[end + 1] - ordered[end] == step:
            end += 1
        if end == start or (end == start + 1 and step > 1):
            found.append(str(ordered[start]))
            start += 1
            continue
        found.append(f"{ordered[start]}-{ordered[end]}" + (f":{step}" if step > 1 else ""))
        start = end + 1
    return ", ".join(found)


def from_ranges(text: str) -> set[int]:
    """The numbers that `as_ranges` wrote.

    Raises:
        ValueError: it is another text.
    """
    numbers: set[int] = set()
    for part in filter(None, text.split(", ")):
        match = re.fullmatch(r"(\d{1,12})(?:-(\d{1,12})(?::(\d{1,12}))?)?", part)
        if match is None:
            raise ValueError(f"no numbers of batches: {part!r}")
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if step < 1 or last >= MOST:
            raise ValueError(f"no numbers of batches: {part!r}")
        numbers |= set(range(first, last + 1, step))
    return numbers
