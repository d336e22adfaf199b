"""Shared fixtures: where the real images and weights are. How the tests share several processes;
what they print at their end."""

import os
from pathlib import Path

import pytest
import workers
from command_runs import run_command
from hypothesis import HealthCheck, settings
from ptxas import TABLE

# How long an example takes says something of the machine only: no test is timed.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real images and weights; a test that needs it is skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VITPROBE_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (set VITPROBE_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def vitprobe_run():
    """See `command_runs.run_command`."""
    return run_command


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    workers.choose(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config, specs):
    """Before the processes start: together they have as many threads as there are cores."""
    os.environ.setdefault("OMP_NUM_THREADS", str(workers.share(len(specs))))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return workers.scheduler(config, log) if config.option.dist == "loadgroup" else None


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):
        workers.order(items)


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        if text := dict(report.user_properties).get(TABLE):
            terminalreporter.write_line(f"{TABLE}:\n\n{text}\n")
