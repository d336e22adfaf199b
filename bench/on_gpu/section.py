"""One section of a run: a process of its own, whose rows are on disk as soon as they are known."""

import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path


class Section:
    """Rows of results with a limit of time.

    Args:
        path: the JSON file, rewritten after every row: what ends the process loses no row.
        seconds: the budget; work asks `time_left` before it begins something.
        dry_run: tiny sizes, on the CPU.
    """

    def __init__(self, path: Path, seconds: float, dry_run: bool):
        self.path, self.dry_run = path, dry_run
        self._begin, self._seconds = time.monotonic(), seconds
        self.results = {"ok": False, "seconds": 0.0, "rows": []}

    @property
    def device(self) -> str:
        """Where this run computes."""
        return "cpu" if self.dry_run else "cuda"

    def time_left(self) -> float:
        """Seconds left of the budget."""
        return self._seconds - (time.monotonic() - self._begin)

    def add(self, **row) -> None:
        """Keep one row, and print it."""
        self.results["rows"].append(row)
        print(json.dumps(row), flush=True)
        self._write()

    def note(self, **values) -> None:
        """Keep what holds for all rows."""
        self.results.update(values)
        self._write()

    def run(self, work: Callable[["Section"], None]) -> None:
        """Do the work; what it raises is kept, not passed on."""
        try:
            work(self)
            self.results["ok"] = True
        except Exception as error:
            traceback.print_exc()
            self.results["why"] = f"{type(error).__name__}: {error}"[:600]
        self._write()

    def _write(self) -> None:
        self.results["seconds"] = round(time.monotonic() - self._begin, 2)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.results))
        os.replace(partial, self.path)
