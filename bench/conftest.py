"""The comparisons of a run: collected from the tests, printed at the end, written if asked for."""

import importlib.util
from pathlib import Path

import pytest
from comparison import Comparison, tables, write
from machine import machine, machine_line

FOUND = pytest.StashKey[list]()

if importlib.util.find_spec("pytest_benchmark") is None:

    @pytest.fixture
    def benchmark():
        pytest.skip('needs pytest-benchmark: pip install ".[bench]"')


def pytest_configure(config):
    config.stash[FOUND] = []


@pytest.fixture
def compared(request):
    """Call it with the fields of a `Comparison` to have it in the table at the end."""
    return lambda **fields: request.config.stash[FOUND].append(Comparison(**fields))


@pytest.fixture
def rounds(request):
    """The number of rounds given; one with `--benchmark-disable`, which runs everything once."""
    once = request.config.getoption("benchmark_disable", False)
    return lambda number: 1 if once else number


@pytest.hookimpl(trylast=True)  # after pytest-benchmark's own tables
def pytest_terminal_summary(terminalreporter, config):
    found = config.stash[FOUND]
    if not found:
        return
    here = machine()
    terminalreporter.section("vitprobe: comparisons, in turns")
    terminalreporter.line(machine_line(here))
    terminalreporter.line("medians of all rounds (quartiles); ratios are of the same round")
    for title, rows in tables(found).items():
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        terminalreporter.line(f"\n{title}", bold=True)
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            terminalreporter.line("  " + "   ".join(cells).rstrip())
    if file := config.getoption("--benchmark-results"):
        write(Path(file), here, found)
        terminalreporter.line(f"\nwrote {file}; README: python bench/readme_table.py")
