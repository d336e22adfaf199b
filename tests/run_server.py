"""Runs of the command in children of a process that has imported everything: quick to start, and
each a process of its own that can be killed.

As a script it takes one JSON request a line and answers with one JSON line; `RunServer` is its
other end.
"""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """code: exit code, or minus the signal. events: what the run reported, in order: `step E S`
    before that step of the run, and `open|write|replace FILE` after that was done to a file."""

    code: int
    out: str
    err: str
    events: list[str] = field(repr=False)


class RunServer:
    """A server of its own for each number of threads."""

    def __init__(self, threads: int = 1):
        env = os.environ | {
            "OMP_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "passive",  # threads that wait leave the cores to others
            "COLUMNS": "200",
        }
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

    def __call__(self, *words, cwd, **how) -> Run:
        """`vitprobe WORDS`, in the folder `cwd`.

        events: (kind, n): a thread of its own ends it after n events of that kind (`step`, or a
            file's `open`, `write`, `replace`) and `after` seconds more, wherever it is by then.
        die_at: (event, n): it ends at the n-th such event (0, 1, ...).
        stop_at: (function by its dotted name, n): it ends at the n-th call of that (0, 1, ...).
        signal: by which it ends (SIGKILL).
        stdout: what it prints goes there instead.
        file_limit: (event, bytes): from that event on (or from the `start`) no file can grow
            beyond so many bytes.
        nan_at: the step of the run in which the first weight becomes NaN.
        """
        request = {"words": [str(word) for word in words], "cwd": str(cwd), **how}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return Run(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def serve() -> None:
    """Answer requests until stdin ends."""
    import vitprobe.analyses  # noqa: F401
    import vitprobe.cli._train_summary  # noqa: F401
    import vitprobe.figures  # noqa: F401
    import vitprobe.training  # noqa: F401

    with suppress(ImportError):
        import torch.utils.tensorboard  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


def _answer(request: dict) -> dict:
    read, write = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        child = os.fork()
        if child == 0:
            os.close(read)
            _redirect(Path(request.get("stdout", out)), err)
            _run(request, write)
        os.close(write)
        events = _events(read)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        said = {"out": out.read_text() if out.exists() else "", "err": err.read_text()}
        return {"code": code, "events": events, **said}


def _events(read: int) -> list[str]:
    """What the child reports until it ends."""
    with os.fdopen(read, "rb") as pipe:
        return pipe.read().decode().splitlines()


def _redirect(out: Path, err: Path) -> None:
    for path, number in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)


def _run(request: dict, pipe: int) -> None:
    """What the child does; it does not return."""
    from vitprobe.cli import main

    os.chdir(request["cwd"])
    sys.argv = ["vitprobe", *request["words"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    code = 1
    try:
        _instrument(request, pipe)
        main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _instrument(request: dict, pipe: int) -> None:
    import torch

    from vitprobe.training import files, loop

    loop.SAVING_SHARE = 1.0  # saves as often as --save_every says
    die_at, limit, seen = request.get("die_at"), request.get("file_limit"), []
    end = partial(os.kill, os.getpid(), request.get("signal", signal.SIGKILL))

    def tell(event: str) -> None:
        os.write(pipe, f"{event}\n".encode())
        seen.append(event)
        if die_at and event == die_at[0] and seen.count(event) == die_at[1] + 1:
            end()
        kind, count = request.get("events") or ("", 0)
        if event.startswith(kind) and count == sum(one.startswith(kind) for one in seen):
            threading.Timer(request.get("after", 0.0), end).start()
        if limit and event == limit[0]:
            _limit_files(limit[1])

    if limit and limit[0] == "start":
        _limit_files(limit[1])
    if "stop_at" in request:
        _call_first(*request["stop_at"], end)

    step, write_file = loop.Loop.train_step, files.RunFiles._write

    def told_step(self, batch):
        tell(f"step {self.epoch} {self.step}")
        if request.get("nan_at") == self.epoch * self.feed.steps + self.step:
            with torch.no_grad():
                next(self.model.parameters()).fill_(float("nan"))
        return step(self, batch)

    def told_write(self, path, write):
        def told(file):
            tell(f"open {path.name}")
            write(file)
            tell(f"write {path.name}")

        write_file(self, path, told)
        tell(f"replace {path.name}")

    loop.Loop.train_step, files.RunFiles._write = told_step, told_write


def _limit_files(size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _call_first(name: str, left: int, end) -> None:
    """`end` before call number `left` of the function called `name`."""
    module = importlib.import_module(name.rpartition(".")[0])
    function = getattr(module, name.rpartition(".")[2])

    def called(*args, **how):
        nonlocal left
        left -= 1
        if left == -1:
            end()
        return function(*args, **how)

    setattr(module, function.__name__, called)


if __name__ == "__main__":
    serve()
