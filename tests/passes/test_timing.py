"""Seconds by part: a part inside another counts for itself only."""

import time

import pytest
import torch

from vitprobe.passes.timing import Stopwatch


def test_parts_within_parts(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    watch = Stopwatch(torch.device("cpu"))
    with watch("forward"):
        now[0] += 1
        for _ in range(3):
            with watch("statistics"):
                now[0] += 0.25
        now[0] += 2
    now[0] += 100  # between parts: nobody's
    with watch("data"):
        now[0] += 5
    assert watch.seconds() == {"forward": 3, "statistics": 0.75, "data": 5}


def test_a_part_that_raises_still_counts(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    watch = Stopwatch(torch.device("cpu"))
    with pytest.raises(KeyError), watch("forward"):
        now[0] += 2
        raise KeyError
    now[0] += 7
    with watch("data"):
        now[0] += 1
    assert watch.seconds() == {"forward": 2, "data": 1}
