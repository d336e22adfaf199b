"""Times of several ways to do one thing, taken in turns: a noisy machine treats all alike."""

import statistics
import time
from collections.abc import Callable


def interleave(ways: dict[str, Callable[[], object]], rounds: int, warm_up: int = 1):
    """Seconds of each way in each of `rounds` turns, after `warm_up` turns that do not count."""
    seconds = {name: [] for name in ways}
    for turn in range(warm_up + rounds):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def quartiles(values: list[float], scale: float = 1) -> list[float]:
    """Lower quartile, median and upper quartile, each times `scale`."""
    if len(values) == 1:
        return [values[0] * scale] * 3
    return [value * scale for value in statistics.quantiles(values, n=4, method="inclusive")]
