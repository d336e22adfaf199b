"""Which kernels were chosen on a GPU, and why: a table."""

from collections.abc import Callable, Sequence

import torch
from rich.console import Console

from vitprobe.cli._table import Column, print_table
from vitprobe.ops import choice, library
from vitprobe.ops.proof.question import Result


def print_gpus(console: Console, learn: Callable[[int], object] | None = None) -> None:
    """For each GPU a table of what runs there, once for several of a kind.

    learn: is called first with the number of each that is shown.
    """
    seen: list[dict] = []
    for index in range(torch.cuda.device_count()):
        why = library.why_no_image(index)
        title, key = f"kernels on cuda:{index}", None if why else choice.machine(index).key
        if key in seen:
            console.print(f"{title}: as on the one of this kind above")
            continue
        if key is not None:
            seen.append(key)
            if learn is not None:
                learn(index)
        found = [] if why else choice.choices(index)
        if found:
            _print_choices(console, title, found)
        else:
            why = why and f"none runs there ({why}); the reference does"
            console.print(
                f"{title}: {why or 'not tried yet: at the first use, or by vitprobe tune'}"
            )


def _print_choices(console: Console, title: str, found: Sequence[choice.Choice]) -> None:
    """A line for each operator, type and size class: what runs, its error and time, the others."""
    results = [each.results.get(each.kernel, Result()) for each in found]
    print_table(
        console,
        title,
        [
            Column("operator", [each.operator for each in found], "name"),
            Column("type", [each.kind for each in found], "name"),
            Column("size", [each.size for each in found], "name"),
            Column("runs", [each.kernel for each in found], "name"),
            Column("error", [_error(result) for result in results]),
            Column(
                "us",
                [_time(result, each.size) for result, each in zip(results, found, strict=True)],
            ),
            Column("then", [_runners_up(each) for each in found], "text"),
            Column("left out", [_left_out(each) for each in found], "text"),
        ],
    )


def _runners_up(one: choice.Choice) -> str:
    """`simple 31.2 us (2.1e-07), reference 40 us (3e-07)`."""
    results = one.results
    return ", ".join(
        f"{name} {_time(results[name], one.size)} us ({_error(results[name])})"
        for name in choice.ranked(results, one.size)
        if name != one.kernel
    )


def _left_out(one: choice.Choice) -> str:
    return "; ".join(f"{name}: {each.why}" for name, each in one.results.items() if each.why)


def _error(result: Result) -> str:
    return "" if result.error is None else f"{result.error:.1e}"


def _time(result: Result, size: str) -> str:
    seconds = result.seconds.get(size)
    return "" if seconds is None else f"{seconds * 1e6:.3g}"
