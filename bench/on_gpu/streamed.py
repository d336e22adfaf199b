"""pytest whose results are on disk as they come: a run that is stopped has told what it found.

A line of JSON for each event: {"collected": tests}, {"begun": test}, {"ended": test, "outcome",
"seconds", "why"}, {"broken": file, "why"} of a file that cannot be collected.
"""

import json
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
# Not `python -m pytest`, which imports what lies in the working directory, built or not; nor this
# file as a script, whose folder has names of the standard library's.
_PROGRAM = (
    "import sys; sys.path[0] = sys.argv.pop(1); from on_gpu.streamed import main; sys.exit(main())"
)
SLOWEST = 5


def arguments(path: Path, *words: str) -> list[str]:
    """For Python: pytest with these words, its results streamed to the file."""
    return ["-c", _PROGRAM, str(BENCH), str(path), *words]


class Streamed:
    """The plugin: appends to the file, and flushes each line."""

    def __init__(self, path: str):
        self._file = open(path, "a", buffering=1)  # noqa: SIM115
        self._seconds = 0.0
        self._outcome = self._why = ""

    def _line(self, **values) -> None:
        self._file.write(json.dumps(values) + "\n")

    def pytest_collection_finish(self, session) -> None:
        self._line(collected=len(session.items))

    def pytest_collectreport(self, report) -> None:
        if report.failed:
            self._line(broken=report.nodeid, why=_why(report))

    def pytest_runtest_logstart(self, nodeid, location) -> None:
        self._seconds, self._outcome, self._why = 0.0, "passed", ""
        self._line(begun=nodeid)

    def pytest_runtest_logreport(self, report) -> None:
        self._seconds += report.duration
        if report.outcome != "passed" and self._outcome != "failed":  # a failure is the last word
            self._outcome = report.outcome
            self._why = _why(report) if report.failed else ""

    def pytest_runtest_logfinish(self, nodeid, location) -> None:
        seconds = round(self._seconds, 3)
        self._line(ended=nodeid, outcome=self._outcome, seconds=seconds, why=self._why)


def _why(report) -> str:
    """The line that says it, in few characters."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = str(crash.message if crash else report.longrepr).splitlines()
    return (lines or [""])[0 if crash else -1][:200]


def counts(path: Path) -> dict:
    """{"passed", "failed", "skipped", "unfinished": numbers, "failures": {test: why}, "slowest":
    {test: seconds}}, and "running": the test that a stopped run was in; {} of a run that had
    collected nothing."""
    lines = path.read_text().splitlines() if path.is_file() else []
    events = [event for line in lines if (event := _event(line))]
    collected = sum(event.get("collected", 0) for event in events)
    ended = [event for event in events if "ended" in event]
    begun = [event["begun"] for event in events if "begun" in event]
    failures = {e["ended"]: e["why"] for e in ended if e["outcome"] == "failed"}
    failures |= {event["broken"]: event["why"] for event in events if "broken" in event}
    if not events:
        return {}
    slowest = sorted(ended, key=lambda event: -event["seconds"])[:SLOWEST]
    found = {
        "passed": sum(event["outcome"] == "passed" for event in ended),
        "failed": len(failures),
        "skipped": sum(event["outcome"] == "skipped" for event in ended),
        "unfinished": collected - len(ended),
        "failures": failures,
        "slowest": {event["ended"]: event["seconds"] for event in slowest},
    }
    return found | ({"running": begun[-1]} if len(begun) > len(ended) else {})


def _event(line: str) -> dict:
    """{} of a line that was cut off."""
    try:
        return json.loads(line)
    except ValueError:
        return {}


def main() -> int:
    """FILE and pytest's own words, from the command line."""
    import pytest

    return pytest.main(sys.argv[2:], plugins=[Streamed(sys.argv[1])])
