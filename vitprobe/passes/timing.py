"""Where the seconds of an analysis go, without waiting for the device."""

import time
from collections import defaultdict
from contextlib import contextmanager

import torch


class Stopwatch:
    """Sums the seconds of named parts; a part inside another counts for itself only.

    On CUDA the parts are marked by events in the stream, read once at the end: no synchronisation
    while the analysis runs.
    """

    def __init__(self, device: torch.device):
        self._cuda = device.type == "cuda"
        self._open: list[str] = []
        self._marks: list[tuple[str, object]] = []
        self._seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, part: str):
        """Count what happens inside as `part`."""
        self._mark(part)
        self._open.append(part)
        try:
            yield
        finally:
            self._open.pop()
            self._mark(self._open[-1] if self._open else "")

    def _mark(self, next_part: str) -> None:
        if self._cuda:
            now = torch.cuda.Event(enable_timing=True)
            now.record()
        else:
            now = time.perf_counter()
        self._marks.append((next_part, now))
        if not self._cuda and len(self._marks) > 1:
            self._drain()

    def _drain(self) -> None:
        for (part, begin), (_, end) in zip(self._marks, self._marks[1:], strict=False):
            self._seconds[part] += begin.elapsed_time(end) / 1e3 if self._cuda else end - begin
        self._marks = self._marks[-1:]

    def seconds(self) -> dict[str, float]:
        """Seconds by part so far; waits for the device."""
        if self._cuda:
            torch.cuda.synchronize()
        self._drain()
        return {part: value for part, value in self._seconds.items() if part}
