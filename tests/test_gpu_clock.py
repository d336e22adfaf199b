"""`bench/on_gpu/clock.py` with a pretended GPU whose clock counts the calls that it ran."""

import contextlib

import pytest
import torch
from on_gpu import clock


class Gpu:
    """Calls take 7 us; while one captures, they are noted instead and taken at each replay."""

    def __init__(self):
        self.now, self.capturing = 0.0, None

    def call(self, i):
        if self.capturing is not None:
            self.capturing.append(i)
        else:
            self.now += 7.0


@pytest.fixture
def gpu(monkeypatch):
    pretended = Gpu()

    class Graph:
        def capture_begin(self):
            pretended.capturing = self.calls = []

        def capture_end(self):
            pretended.capturing = None

        def replay(self):
            for i in self.calls:
                pretended.call(i)

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = pretended.now

        def elapsed_time(self, end):
            return (end.at - self.at) / 1e3  # milliseconds

    class Stream:
        def wait_stream(self, other):
            pass

    for name, value in {
        "CUDAGraph": Graph,
        "Event": Event,
        "Stream": Stream,
        "stream": lambda stream: contextlib.nullcontext(),
        "current_stream": Stream,
        "synchronize": lambda: None,
        "_sleep": lambda cycles: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return pretended


def test_each_way_is_one_graph_of_all_input_sets(gpu):
    seen = {"one": set(), "two": set()}

    def one(i):
        seen["one"].add(i)
        gpu.call(i)

    def two(i):
        seen["two"].add(i)
        gpu.call(i)
        gpu.call(i)

    found = clock.measure({"one": one, "two": two}, 5, 1.0, "cuda")
    assert [found[name]["us"] for name in ("one", "two")] == [7.0, 14.0]
    for result in found.values():
        assert result["graph"] and result["calls"] == 5 and result["rounds"] >= 3
        assert result["us_low"] == result["us_high"] == result["us"]
    assert seen["one"] == seen["two"] == set(range(5))


def test_what_cannot_be_captured_is_called_and_what_fails_is_recorded(gpu):
    def stubborn(i):
        if gpu.capturing is not None:
            raise RuntimeError("operation not permitted when stream is capturing")
        gpu.call(i)

    def broken(i):
        raise torch.OutOfMemoryError("too much")

    ways = {"stubborn": stubborn, "broken": broken, "good": gpu.call}
    found = clock.measure(ways, 3, 0.1, "cuda")
    assert list(found) == list(ways)
    assert found["stubborn"]["us"] == 7.0 and not found["stubborn"]["graph"]
    assert found["broken"] == {"failed": "OutOfMemoryError: too much"}
    assert found["good"]["us"] == 7.0 and found["good"]["graph"]


def test_inputs_are_together_twice_the_l2(monkeypatch):
    class Properties:
        L2_cache_size = 60 * 2**20

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    assert clock.input_sets(2**20, "cuda") == 120
    assert clock.input_sets(2**31, "cuda") == 2
    assert clock.input_sets(1, "cuda") == 512
