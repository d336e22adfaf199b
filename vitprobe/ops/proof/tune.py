"""Once for each kind of machine: the answers are remembered, and one process finds them."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from vitprobe.errors import InputError
from vitprobe.lock import Lock
from vitprobe.ops.proof import remembered
from vitprobe.ops.proof.question import Question
from vitprobe.ops.proof.run import Limits, Proof, prove
from vitprobe.text import LINE, printable

_WAITS = 10.0  # seconds longer than the check itself takes at most, for another process's


@dataclass(frozen=True)
class Machine:
    """device: `cuda:0`. name: what torch calls it. key: all that the answers depend on. products:
    how torch multiplies float32 there."""

    device: str
    name: str
    key: dict[str, str]
    products: str = "ieee"


def look_up(machine: Machine, questions: Sequence[Question], folder: Path | None) -> Proof | None:
    """What is remembered of all these questions, or None."""
    found = _read(machine, questions, folder)
    return None if found is None else Proof(found.answers)


def tuned(
    machine: Machine,
    questions: Sequence[Question],
    folder: Path | None,
    *,
    again: bool = False,
    limits: Limits | None = None,
) -> Proof:
    """What is remembered, else what is found now: then it is said in one line, and remembered.

    Of several processes one tries the kernels, and the others wait for it. Where the folder cannot
    be written to (or there is none: None), or another process does not come to an end, it is found
    for this process alone.

    again: try them even if it is remembered, unless it has been since this was called.
    """
    limits = limits or Limits()
    since = time.time()
    if not again and (proof := look_up(machine, questions, folder)) is not None:
        return proof
    with ExitStack() as stack:
        unwritten = _lock(machine, folder, limits, stack)
        found = None if unwritten else _read(machine, questions, folder)
        if found is not None and (not again or found.written >= since):
            return Proof(found.answers)
        where = unwritten or f"remembered in {folder}"
        _say(
            f"its kernels are tried against float64 on {machine.name} and timed, in at most "
            f"{limits.total:g} s; {where}"
        )
        proof = prove(
            questions, machine.device, limits, name=machine.name, products=machine.products
        )
        if proof.lasting and folder is not None and not unwritten:
            with suppress(OSError):
                remembered.write(_path(machine, folder), machine.key, proof.answers)
        return proof


def _lock(machine: Machine, folder: Path | None, limits: Limits, stack: ExitStack) -> str:
    """Keep other processes out until the stack is closed; "", or why nothing can be written."""
    if folder is None:
        return "not remembered: there is no home folder"
    path = _path(machine, folder).with_suffix(".lock")
    what = f"the trial of kernels on {machine.name}"
    lock = Lock(path, what, "wait", patience=limits.total + _WAITS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(lock)
    except OSError as error:
        why = error.strerror or str(error)
        return f"not remembered: {folder} cannot be written to ({why})"
    except InputError as error:
        return f"not remembered: {error}"
    return ""


def _read(
    machine: Machine, questions: Sequence[Question], folder: Path | None
) -> remembered.Remembered | None:
    if folder is None:
        return None
    found = remembered.read(_path(machine, folder), machine.key)
    if found is None:
        return None
    same = {each.name: set(each.candidates) for each in questions}
    answered = {name: set(results) for name, results in found.answers.items()}
    return found if same == answered else None


def _path(machine: Machine, folder: Path) -> Path:
    return folder / remembered.file_of(machine.key)


def _say(line: str) -> None:
    """One line on stderr, where there is one."""
    with suppress(OSError, AttributeError, ValueError):
        print(f"vitprobe: {printable(line, LINE)}", file=sys.stderr, flush=True)
