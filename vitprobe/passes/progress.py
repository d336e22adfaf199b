"""What a pass tells of itself while it runs: how far it is, how fast, how long still."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vitprobe.data import PairedLoader
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.reader import Reader
from vitprobe.passes.share import Share

Clock = Callable[[], float]

_WINDOW = 30.0  # seconds that a rate is taken over
_SAMPLES = 1000


@dataclass(frozen=True)
class Ahead:
    """What a run is to do.

    examples: of all processes and passes, in its share; of a stream the most there can be; None:
    nobody knows. done: of these, what was done before. batches: that this process has still to do.
    """

    examples: int | None
    done: int = 0
    batches: int | None = None

    @classmethod
    def of(cls, loader: PairedLoader, share: Share, own: Share, done: set[int], count: int):
        """share: of the run; own: this process's part of it. done: numbers of the batches that were
        done before, which have `count` examples."""
        batches = loader.batches_per_pass and loader.batches_per_pass * loader.passes
        left = None if batches is None else len(own.numbers(batches) - done)
        return cls(_examples_of(loader, share), count, left)


def _examples_of(loader: PairedLoader, share: Share) -> int | None:
    """Of all passes, in this share: every batch is whole but the last one of a pass."""
    if loader.examples is None or share.count == 1:
        return loader.examples and loader.examples * loader.passes
    batches, size = loader.batches_per_pass, loader.batch_size
    if not batches or not size:
        return None
    missing = batches * size - loader.examples
    last = sum(share.wants((k + 1) * batches - 1) for k in range(loader.passes))
    return len(share.numbers(batches * loader.passes)) * size - last * missing


class Progress:
    """Is told by a pass what it does, inside `with`; this one keeps it to itself."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error) -> None:
        pass

    def begin(self, inputs: Inputs, readers: Sequence[Reader], ahead: Ahead) -> None:
        """What will be read is known, and no batch was computed yet."""

    def advance(self, done: int, error: Callable[[], float] | None = None) -> None:
        """So many examples are done, of all processes, with those of before.

        error: gives the largest standard error of them, where the sums of all are at hand (NaN:
        there is none yet); it takes its time.
        """


class Going:
    """How a run goes, in numbers, and in words for a line.

    The rate is that of the last half minute: the first batch of a GPU is slow, and what was done
    before in no time.
    """

    def __init__(self, ahead: Ahead, clock: Clock = time.monotonic):
        self.total, self.done, self.error = ahead.examples, ahead.done, math.nan
        self._clock = clock
        self._seen = deque([(clock(), ahead.done)], maxlen=_SAMPLES)

    def advance(self, done: int) -> None:
        """So many examples are done."""
        self.done = done if self.total is None else min(done, self.total)
        now = self._clock()
        self._seen.append((now, self.done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Examples a second; 0 where there is none yet."""
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        return max(last - first, 0) / (ended - began) if ended > began else 0.0

    @property
    def left(self) -> float | None:
        """Seconds; None where they cannot be told."""
        if self.total is None or not self.rate:
            return None
        since = self._clock() - self._seen[-1][0]
        return max((self.total - self.done) / self.rate - since, 0.0)

    def words(self) -> str:
        """`12,800 of 50,000 examples, 430/s, 1 min 27 s left, largest s.e. 0.012`."""
        said = [f"{self.done:,}{'' if self.total is None else f' of {self.total:,}'} examples"]
        rate = self.rate
        if rate:
            said.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s")
        if (left := self.left) is not None and self.done != self.total:
            said.append(f"{spoken(left)} left")
        if not math.isnan(self.error):
            said.append(f"largest s.e. {self.error:.2g}")
        return ", ".join(said)


def spoken(seconds: float) -> str:
    """`8 s`, `1 min 27 s`, `12 min`, `1 h 20 min`, `2 d 3 h`."""
    whole = max(round(seconds), 1)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
