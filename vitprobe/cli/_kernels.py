"""Which kernels were chosen on a GPU, and why: a table."""

from collections.abc import Sequence

from rich.console import Console

from vitprobe.cli._table import Column, print_table
from vitprobe.ops.choice import Choice, ranked
from vitprobe.ops.proof.question import Result


def print_choices(console: Console, title: str, found: Sequence[Choice]) -> None:
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


def _runners_up(choice: Choice) -> str:
    """`simple 31.2 us (2.1e-07), reference 40 us (3e-07)`."""
    results = choice.results
    return ", ".join(
        f"{name} {_time(results[name], choice.size)} us ({_error(results[name])})"
        for name in ranked(results, choice.size)
        if name != choice.kernel
    )


def _left_out(choice: Choice) -> str:
    return "; ".join(f"{name}: {each.why}" for name, each in choice.results.items() if each.why)


def _error(result: Result) -> str:
    return "" if result.error is None else f"{result.error:.1e}"


def _time(result: Result, size: str) -> str:
    seconds = result.seconds.get(size)
    return "" if seconds is None else f"{seconds * 1e6:.3g}"
