"""Programs run with a limit of time, their output kept in one log."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from on_gpu.machine import ROOT


class Done(NamedTuple):
    """How a program ended."""

    code: int | None  # None: stopped at the limit
    output: str
    seconds: float

    def why(self, seconds: float) -> str:
        """'' or, in one line, what went wrong."""
        if self.code is None:
            return f"stopped after {seconds:.0f} s"
        lines = [line for line in self.output.splitlines() if line.strip()]
        return "" if self.code == 0 else f"exit code {self.code}: {(lines or [''])[-1]}"[:300]


def run(command: list[str], seconds: float, log: Path, **environment: str) -> Done:
    """Run it in the checkout; its whole group ends at the limit.

    Its Python imports the checkout's package where that was built, else the installed one.
    """
    built = any((ROOT / "vitprobe").glob("_C.*"))
    path = os.pathsep.join(filter(None, [str(ROOT) * built, os.environ.get("PYTHONPATH")]))
    begin = time.monotonic()
    try:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return Done(127, str(error), 0.0)
    try:
        output, _ = process.communicate(timeout=max(seconds, 0.1))
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        code = None
    done = Done(code, output, time.monotonic() - begin)
    with log.open("a") as file:
        file.write(f"\n$ {' '.join(command)}    # {done.seconds:.1f} s, exit code {code}\n{output}")
    return done


def python(*arguments: str) -> list[str]:
    """The command of this Python."""
    return [sys.executable, *arguments]
