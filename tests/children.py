"""Small Python programs in processes of their own, to be stopped, killed or met by another."""

import os
import subprocess
import sys


def start(code, *words, **how):
    """The running program; `stdout`, `stderr` as text unless said otherwise."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # safe path: the vitprobe that was installed, not a folder of that name where the tests run
    env = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONSAFEPATH": "1"}
    words = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(words, **(pipes | {"env": env} | how))


def ended(code, *words, **how):
    """(exit code or minus the signal, stdout, stderr) of the program."""
    child = start(code, *words, **how)
    out, err = child.communicate(timeout=60)
    return child.returncode, out, err


def dead_process() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid
