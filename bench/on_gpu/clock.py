"""Times of several ways to do one thing on rotating inputs, taken in turns.

On a GPU each way is captured once as a graph of one call per input set, so that launching costs
next to nothing, and the graph's replays are timed with events, the ways in turns. A way that no
graph takes is called eagerly, and its row says so.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

Way = Callable[[int], object]  # way(i) does the thing once, on input set i

_LONGEST_GRAPH = 0.1  # seconds; what takes longer needs no graph
_LONGEST_TURN = 0.03  # seconds of eager calls
_ROUNDS = (3, 40)


@dataclass
class _Timed:
    way: Way
    inputs: int
    calls: int = 0  # per turn
    first: int = 0  # the input set that an eager turn begins with
    graph: object = None
    marks: list = field(default_factory=list)

    def turn(self) -> None:
        if self.graph is not None:
            self.graph.replay()
            return
        for i in range(self.calls):
            self.way((self.first + i) % self.inputs)
        self.first = (self.first + self.calls) % self.inputs


def input_sets(bytes_each: int, device: str) -> int:
    """How many sets of inputs are together twice as large as the L2; at least two."""
    if device == "cpu":
        return 2
    l2 = torch.cuda.get_device_properties(0).L2_cache_size
    return max(2, min(512, -(-2 * l2 // bytes_each)))


def measure(ways: dict[str, Way], inputs: int, seconds: float, device: str) -> dict[str, dict]:
    """Microseconds of one call of each way.

    Args:
        ways: by name.
        inputs: the number of input sets.
        seconds: what all turns together may take, about.
        device: "cuda", or "cpu" (a wall clock).

    Returns:
        For each way {"us": median, "us_low", "us_high": the 10th and 90th percentile over turns,
        "rounds", "calls": per round, "graph": captured as a graph}, or {"failed": why}.
    """
    cuda = device != "cpu"
    results, timed = {}, {}
    for name, way in ways.items():
        try:
            once = _warm_up(way, inputs, cuda)
            entry = _Timed(way, inputs, max(1, min(inputs, int(_LONGEST_TURN / once))))
            cost = once * entry.calls
            if cuda and once * inputs <= _LONGEST_GRAPH and (graph := _capture(way, inputs)):
                entry.graph, entry.calls = graph, inputs
                cost = _seconds_of(entry.turn)
            timed[name] = (entry, cost)
        except Exception as error:  # out of memory, not for this device: the other ways go on
            results[name] = {"failed": f"{type(error).__name__}: {error}"[:300]}
    turn = sum(cost for _, cost in timed.values())
    low, high = _ROUNDS
    rounds = max(low, min(high, int(seconds / turn))) if turn else 0
    entries = {name: entry for name, (entry, _) in timed.items()}
    _take_turns(entries.values(), rounds, cuda)
    for name, entry in entries.items():
        results[name] = _summary(entry, rounds, cuda)
    return {name: results[name] for name in ways}


def _warm_up(way: Way, inputs: int, cuda: bool) -> float:
    """Seconds of one call, roughly, after the ones that load code and make handles."""
    way(0)
    way(1 % inputs)
    return _seconds_of(lambda: way(2 % inputs), cuda)


def _seconds_of(action: Callable[[], object], cuda: bool = True) -> float:
    """By the wall clock, once."""
    if cuda:
        torch.cuda.synchronize()
    begin = time.perf_counter()
    action()
    if cuda:
        torch.cuda.synchronize()
    return max(time.perf_counter() - begin, 1e-6)


def _capture(way: Way, inputs: int):
    """A graph of one call per input set; None where something in it cannot be captured."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    try:
        with torch.cuda.stream(stream):
            graph.capture_begin()
            try:
                for i in range(inputs):
                    way(i)
            finally:
                graph.capture_end()
        graph.replay()
        torch.cuda.synchronize()
    except RuntimeError as error:
        print(f"no graph: {error}", flush=True)
        torch.cuda.synchronize()
        return None
    return graph


def _take_turns(entries, rounds: int, cuda: bool) -> None:
    if cuda:
        torch.cuda.synchronize()
        torch.cuda._sleep(2_000_000)  # the queue fills behind it: no launch is waited for
    for _ in range(rounds):
        for entry in entries:
            begin = _now(cuda)
            entry.turn()
            entry.marks.append((begin, _now(cuda)))
    if cuda:
        torch.cuda.synchronize()


def _now(cuda: bool):
    if not cuda:
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _summary(entry: _Timed, rounds: int, cuda: bool) -> dict:
    spans = [b.elapsed_time(e) * 1e3 if cuda else (e - b) * 1e6 for b, e in entry.marks]
    each = sorted(span / entry.calls for span in spans)
    last = len(each) - 1
    return {
        "us": round(statistics.median(each), 3),
        "us_low": round(each[round(0.1 * last)], 3),
        "us_high": round(each[round(0.9 * last)], 3),
        "rounds": rounds,
        "calls": entry.calls,
        "graph": entry.graph is not None,
    }
