"""Times of several ways to do one thing, taken in turns: a noisy machine treats all alike."""

import statistics
import time
from collections.abc import Callable


def interleave(ways: dict[str, Callable[[], object]], rounds: int, warm_up: int = 1):
    """Median seconds of each way over `rounds` turns, after `warm_up` turns that do not count."""
    seconds = {name: [] for name in ways}
    for turn in range(warm_up + rounds):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}
