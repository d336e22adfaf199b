"""The processes in which candidates are tried, each result a line on stdout as it is there.

A fault (illegal access, abort, endless loop) ends or holds up one of these, not the user's process;
its last line says whose fault it was. A server loads torch once and makes a child for each request
by forking, before anything has touched the GPU.
"""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

from vitprobe.ops.library import why_no_cuda
from vitprobe.ops.proof.question import Case

ROUNDS = 7
SECONDS = 0.25  # for the rounds of one case, of all candidates together

_POISON = [2**power for power in range(7, 23)]  # numbers in a block of memory


def serve() -> None:
    """A child for each line of stdin, one after another; {"ended": exit code} behind its lines."""
    for request in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                answer(json.loads(request))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        tell(ended=os.waitstatus_to_exitcode(status))


def answer(request: dict) -> None:
    """Try what is asked (`run.py` makes the request), and print the results.

    Lines: {"process": its number}; {"device": its name};
    {"trying": [question, candidate]} before each call of it, null behind the last;
    {"checked": [question, candidate], "error", "why"}; {"timed": question, "size", "seconds"};
    {"answered": question}; {"failed": why} where nothing can be tried; {"lost": why} where a
    candidate left the device unusable; {"no_memory": true} behind a result for want of memory.
    """
    signal.alarm(math.ceil(request["seconds"]) + 1)  # whoever asked may have been killed
    tell(process=os.getpid())
    device = torch.device(request["device"])
    if device.type == "cuda":
        if why := why_no_cuda():
            return tell(failed=why)
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.fp32_precision = request["products"]
        tell(device=torch.cuda.get_device_name(device))
    for number, question in enumerate(request["questions"]):
        _answer(number, question, device)
        tell(answered=number)


def tell(**line: Any) -> None:
    """One line on stdout in one write; libraries may have written there too."""
    os.write(1, f"\n{json.dumps(line)}\n".encode())


def _answer(number: int, question: dict, device: torch.device) -> None:
    with torch.inference_mode():
        cases = list(imported(question["cases"])(question["kind"], device))
        right = {}
        for name, spec in question["candidates"].items():
            tell(trying=[number, name])
            error, why, no_memory = None, "", False
            try:
                candidate = imported(spec)
                error, why = _worst(candidate, cases, device)
            except Exception as fault:
                why, no_memory = _first_line(fault), isinstance(fault, torch.OutOfMemoryError)
            if not why:
                right[name] = candidate
            tell(checked=[number, name], error=error, why=why)
            if no_memory:
                tell(no_memory=True)
            if why:
                _end_if_unusable(device)
        tell(trying=None)
        for case in cases:
            if case.size and right:
                seconds = _times(number, right, case, device)
                tell(timed=number, size=case.size, seconds=seconds)


def imported(spec: str) -> Callable:
    """What `package.module:function` names."""
    module, _, name = spec.partition(":")
    return getattr(import_module(module), name)


def _worst(
    candidate: Callable, cases: list[Case], device: torch.device
) -> tuple[float | None, str]:
    """The largest error (None: not finite), and "" or why that is too much."""
    worst, why = 0.0, ""
    for case in cases:
        _poison(device)
        error = case.error(candidate(*case.arguments()))
        if not error <= case.limit and not why:
            why = f"error {error:.1e} of {case.what}, more than {case.limit:.0e}"
        worst = max(worst, error)
    return (worst if math.isfinite(worst) else None), why


def _times(
    number: int, candidates: dict[str, Callable], case: Case, device: torch.device
) -> dict[str, float]:
    """Median seconds of a call, in turns."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    arguments = case.arguments()
    began = time.monotonic()
    for round_ in range(ROUNDS):
        if round_ and time.monotonic() - began > SECONDS:
            break
        for name, candidate in candidates.items():
            tell(trying=[number, name])
            taken[name].append(_seconds(candidate, arguments, device))
    tell(trying=None)
    return {name: statistics.median(values) for name, values in taken.items()}


def _seconds(candidate: Callable, arguments: tuple, device: torch.device) -> float:
    if device.type != "cuda":
        began = time.perf_counter()
        candidate(*arguments)
        return time.perf_counter() - began
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin.record()
    candidate(*arguments)
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def _poison(device: torch.device) -> None:
    """The allocator hands out memory full of NaN: results and workspace must all be written."""
    if device.type == "cuda":
        held = [torch.full((size,), math.nan, device=device) for size in _POISON]
        del held


def _end_if_unusable(device: torch.device) -> None:
    """After an illegal access every later call fails: another process goes on."""
    if device.type != "cuda":
        return
    try:
        torch.cuda.synchronize(device)
        torch.ones(1, device=device).item()
    except RuntimeError as error:
        tell(lost=_first_line(error))
        os._exit(0)


def _first_line(error: BaseException) -> str:
    text = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
