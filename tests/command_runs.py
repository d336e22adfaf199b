"""Runs of the command, in processes that are watched and can be stopped anywhere."""

import importlib
import os
import resource
import signal
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import forked
from undrawn import undraw


@dataclass(frozen=True)
class Run:
    """code: exit code, or minus the signal. events: what the run reported, in order: `step E S`
    before that step of the run, and `open|write|replace FILE` after that was done to a file."""

    code: int
    out: str
    err: str
    events: list[str] = field(repr=False)


def run_command(*words, cwd, **how) -> Run:
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
    threads: of torch (1).

    Figures are empty.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err, events = (Path(folder, name) for name in ("out", "err", "events"))
        words = [str(word) for word in words]
        process = forked.start(_run, words, cwd, how, how.get("stdout", out), err, events)
        process.join()
        said = [path.read_text() if path.exists() else "" for path in (out, err, events)]
        return Run(process.exitcode, *said[:2], said[2].splitlines())


def _run(words, folder, how, out, err, events) -> None:
    import torch

    from vitprobe.cli import main

    forked.redirect(Path(out), err)
    os.chdir(folder)
    torch.set_num_threads(how.get("threads", 1))
    sys.argv = ["vitprobe", *words]
    undraw()
    _instrument(how, os.open(events, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    main()


def _instrument(how: dict, told: int) -> None:
    import torch

    from vitprobe.training import files, loop

    loop.SAVING_SHARE = 1.0  # saves as often as --save_every says
    die_at, limit, seen = how.get("die_at"), how.get("file_limit"), []
    end = partial(os.kill, os.getpid(), how.get("signal", signal.SIGKILL))

    def tell(event: str) -> None:
        os.write(told, f"{event}\n".encode())
        seen.append(event)
        if die_at and event == die_at[0] and seen.count(event) == die_at[1] + 1:
            end()
        kind, count = how.get("events") or ("", 0)
        if event.startswith(kind) and count == sum(one.startswith(kind) for one in seen):
            threading.Timer(how.get("after", 0.0), end).start()
        if limit and event == limit[0]:
            _limit_files(limit[1])

    if limit and limit[0] == "start":
        _limit_files(limit[1])
    if "stop_at" in how:
        _call_first(*how["stop_at"], end)

    step, write_file = loop.Loop.train_step, files.RunFiles._write

    def told_step(self, batch):
        tell(f"step {self.epoch} {self.step}")
        if how.get("nan_at") == self.epoch * self.feed.steps + self.step:
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
    place, _, attribute = name.rpartition(".")
    module = importlib.import_module(place)
    function = getattr(module, attribute)

    def called(*args, **how):
        nonlocal left
        left -= 1
        if left == -1:
            end()
        return function(*args, **how)

    of_vitprobe = [each for name, each in sys.modules.items() if name.startswith("vitprobe.")]
    for each in (module, *of_vitprobe):  # also where it was imported already
        if getattr(each, attribute, None) is function:
            setattr(each, attribute, called)
