"""Damaged files, read one after the other in a process of bounded memory and time.

A test file says `from fuzz.harness import Case, fuzzed, main`, has `CASES = {"zip": Case(...)}`,
calls `fuzzed(__file__, "zip", tmp_path, count)` in its tests, and ends in
`if __name__ == "__main__": main(CASES)`, which is what the child process runs.
"""

from __future__ import annotations

import collections
import json
import random
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import forked
import pytest

SPARE = 1 << 30  # bytes of address space beyond what the process took before the first input
SECONDS = 5  # for each input
TIMES = (1, pytest.param(3, marks=pytest.mark.slow))  # as many inputs as in every run of the tests


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Some bytes of a file flipped, left out, moved, written twice or made large."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if not changed:
            break
        at, length = chance.randrange(len(changed)), chance.randint(1, 40)
        other = chance.randrange(len(changed))
        kind = chance.randrange(7)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at] = chance.randrange(256)
        elif kind == 2:
            del changed[at : at + length]
        elif kind == 3:
            changed[other:other] = changed[at : at + length]
        elif kind == 4:
            changed[at : at + length] = bytes(chance.choices((0, 127, 255), k=length))
        elif kind == 5:
            del changed[at:]
        else:
            changed[at], changed[other] = changed[other], changed[at]
    return bytes(changed)


@dataclass(frozen=True)
class Case:
    """One kind of input.

    name: of the file that is written, `damaged.zip`. bases: whole files. read: given the file's
    path, returns, or raises InputError. mutate: makes another file of a whole one.
    """

    name: str
    bases: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    mutate: Callable[[bytes, random.Random], bytes] = damaged


def fuzzed(program: str, case: str, folder: Path, count: int, seed: int = 0) -> dict[str, int]:
    """How `count` inputs ended: `read`, and `refused` (an InputError of one line).

    Fails on any other end: another exception, memory that ran out (also where it is an InputError's
    cause), a warning that is not ours, words on stderr, more than SECONDS, a dead process. The
    input that did it is then left in `folder`.
    """
    run = forked.python(program, case, folder, count, seed, timeout=600)
    last = folder / "last"
    where = f"input {last.read_text()} of {case}: " if last.exists() else ""
    assert run.returncode == 0, f"{where}exit code {run.returncode}\n{run.stdout}{run.stderr}"
    assert not run.stderr, where + run.stderr
    return json.loads(run.stdout)


def main(cases: Mapping[str, Case]) -> None:
    """The child process: CASE FOLDER COUNT SEED on the command line."""
    name, folder, count, seed = sys.argv[1:]
    case, ends = cases[name], collections.Counter(read=0, refused=0)
    path, last = Path(folder, case.name), Path(folder, "last")
    bases = case.bases()
    path.write_bytes(bases[0])
    _end(case.read, path)  # whatever is imported only now
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for i in range(int(count)):
        chance = random.Random(f"{name} {seed} {i}")
        path.write_bytes(case.mutate(chance.choice(bases), chance))
        last.write_text(str(i))
        signal.setitimer(signal.ITIMER_REAL, SECONDS)  # its signal ends the process
        ends[_end(case.read, path)] += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
    print(json.dumps(ends))


def _end(read: Callable[[Path], object], path: Path) -> str:
    from vitprobe.errors import InputError, VitprobeWarning
    from vitprobe.text import printable

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            read(path)
            end = "read"
        except InputError as error:
            end, text = "refused", str(error)
            assert text == printable(text, longest=None) and len(text) < 2000, repr(text)
            while error is not None:
                short = "memory" in str(error) or isinstance(error, MemoryError)
                assert not (short and not isinstance(error, InputError)), repr(error)
                error = error.__cause__ or error.__context__
    for warning in said:
        text = str(warning.message)
        assert issubclass(warning.category, VitprobeWarning), warning
        assert text == printable(text, longest=None), repr(text)
    return end
