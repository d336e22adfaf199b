"""How a command ends: what is said, the exit code, and what signals do.

0: done. 2: wrong input, or something outside that refuses (a full disk): one line. 1: a run that
could not save what it had so far, a fault of vitprobe's own, or stdout that takes nothing more.
128 + signal where it was stopped: 130 (Ctrl-C), 143 (SIGTERM), 129 (SIGHUP).
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import typer

from vitprobe.errors import Stopped
from vitprobe.text import printable
from vitprobe.writing import WRITTEN

OTHERS_WAIT = 5.0  # seconds
_PLAIN = (signal.SIG_DFL, signal.default_int_handler)


@contextmanager
def stoppable() -> Iterator[None]:
    """In here Ctrl-C, SIGTERM and SIGHUP raise `Stopped`, so that scratch files and locks go away.

    A second one ends the process as if nobody had asked for anything else. What the caller ignores
    (nohup, a job in the background) stays ignored. Only the first process of torchrun's writes; the
    others end as they would.
    """
    main = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        for each in held:
            signal.signal(each, signal.SIG_DFL)
        if os.getpid() == main:
            raise Stopped(number)
        if number == signal.SIGINT:  # a child that was forked within ends as any other does
            raise KeyboardInterrupt
        os.kill(os.getpid(), number)

    held = {}
    with suppress(ValueError):  # signals are the main thread's
        for number in Stopped.WORDS if first_process() else ():
            if signal.getsignal(number) in _PLAIN:
                held[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)


def refused(line: str, code: int = 2) -> int:
    """Say why nothing came of it; the exit code."""
    if not first_process():
        # Under torchrun the first process has most likely said the same, and then this one is
        # ended before it does.
        time.sleep(OTHERS_WAIT)
    say(line)
    return code


def stopped(stop: Stopped) -> int:
    """Say that it was stopped, and what is left of it; the exit code."""
    left = stop.left
    if not left:
        left = f"the results are in {WRITTEN[0].parent}" if WRITTEN else "nothing was written"
    if first_process():
        say(f"{stop.word}; {left}")
    return 128 + stop.number


def fault(error: Exception) -> int:
    """Show where it is, for a report, and say so."""
    with suppress(OSError):
        traceback.print_exception(error)
    say(f"a fault of vitprobe, {type(error).__name__}: please report it with the lines above")
    return 1


def output_lost(error: OSError) -> int:
    """Where stdout takes nothing more: one line, or silence where its reader has gone (`| head`).

    Python would try once more at its end, and complain; it is given another place.
    """
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    if not isinstance(error, BrokenPipeError):
        written = f"; the results are in {WRITTEN[0].parent}" if WRITTEN else ""
        say(f"cannot write to stdout: {error.strerror or error}{written}")
    return 1


def stdout_error(text: str = "") -> OSError | None:
    """What stdout answers to this text and to what was still to be written to it; None: nothing."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def say(line: str) -> None:
    """One line on stderr, where that takes it."""
    with suppress(OSError):
        typer.echo(f"vitprobe: {printable(line, None)}", err=True)


def note(line: str) -> None:
    """Something to know that changes nothing, on stderr, where that takes it; once of several
    processes."""
    if first_process():
        with suppress(OSError):
            typer.echo(f"note: {printable(line, None)}", err=True)


def first_process() -> bool:
    """Whether this is the only process, or the first of torchrun's."""
    return os.environ.get("RANK", "0") == "0"
