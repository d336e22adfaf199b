"""Processes forked from one that has imported everything: quick to start, and each one of its own
that can be killed. Where what is imported, and when, is part of a test, `children.py` is right."""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import types
from multiprocessing import forkserver
from pathlib import Path

import pytest

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["imported"])


def start(work, *args):
    """The process (of `multiprocessing`) that does `work(*args)`, with one thread."""
    _serve()
    process = _CONTEXT.Process(target=_begin, args=(work, *args))
    process.start()
    return process


def python(*words, cwd=None, timeout=120, **environment) -> subprocess.CompletedProcess:
    """`python WORDS`, as subprocess.run gives it with its output as text: a file, `-m MODULE` or
    `-c CODE`, and what follows. environment: variables in which it differs from this process's."""
    words = list(map(str, words))
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = start(_program, words, cwd or os.getcwd(), os.environ | environment, out, err)
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, timeout, out.read_text(), err.read_text())
        said = (path.read_text(errors="replace") for path in (out, err))
        return subprocess.CompletedProcess(words, process.exitcode, *said)


def redirect(out: Path, err: Path) -> None:
    """What this process writes to stdout and stderr goes to these files."""
    for path, number in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)


def _serve() -> None:
    """Start the process that is forked, once, with what this one imports: in a checkout it would
    take the vitprobe that lies there, perhaps without its kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("OMP_WAIT_POLICY", "passive")  # threads that wait leave the cores to others
        patch.setenv("COLUMNS", "200")
        patch.chdir(Path(__file__).parent)
        forkserver.ensure_running()


def _begin(work, *args) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    work(*args)


def _program(words, folder, environment, out, err) -> None:
    redirect(out, err)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(words[1], "<string>", "exec"), vars(main))
    else:
        sys.argv = words
        sys.path.insert(0, os.path.dirname(words[0]))
        runpy.run_path(words[0], run_name="__main__")
