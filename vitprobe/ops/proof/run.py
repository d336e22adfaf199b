"""Asks which candidates are right and how fast, in other processes: a fault there costs one."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from vitprobe.ops.proof.question import Answers, Question, Result

_SERVER = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.readline()); "
    "from vitprobe.ops.proof.child import serve; serve()"
)
_LAST_WORDS = 300  # characters of what a process printed that is no result


@dataclass(frozen=True)
class Limits:
    """Seconds: of one candidate between two of its results, and of everything together."""

    candidate: float = 6.0
    total: float = 20.0


@dataclass
class Proof:
    """answers: of every question, also where there was none (`why` says so).
    why: nothing could be tried, or "". lasting: whether the next process would find the same: not
    where memory was wanting or no time was left for any, or the device was another's.
    """

    answers: Answers
    why: str = ""
    lasting: bool = True

    def end(self, why: str) -> None:
        """Nothing can be tried (any more)."""
        self.why, self.lasting = why, False


def prove(
    questions: Sequence[Question],
    device: str,
    limits: Limits,
    *,
    name: str = "",
    products: str = "ieee",
) -> Proof:
    """Try the candidates of all questions on the device.

    A child takes them one after another. When it dies, hangs or loses the device, the candidate
    that it was at is out, and a new child goes on with the rest. Nothing here touches the device,
    so that it may be called while a stream is captured.

    name: what torch calls the device; a child that sees another one answers nothing. products: how
    torch multiplies float32 there (`torch.backends.cuda.matmul.fp32_precision`).
    """
    proof = Proof({each.name: {c: Result() for c in each.candidates} for each in questions})
    end = time.monotonic() + limits.total
    left = list(questions)
    try:
        with _Server() as server:
            while left and not proof.why:
                child = _Child(left, proof, server, end, limits.candidate)
                left = left[child.run(device, name, products) :]
                if not child.blamed:
                    break
    except OSError as error:
        proof.end(f"no process to try it in: {error.strerror or error}")
    if len(left) == len(questions):  # the next process may find torch in the disk's cache
        proof.lasting = False
    why = proof.why or "not tried: the time for all was over; `vitprobe tune` takes longer"
    for question in left:
        for result in proof.answers[question.name].values():
            result.why = result.why or why
            result.seconds.clear()
    return proof


class _Server:
    """A process that has loaded torch, and makes the children: one is there at once then.

    words: the last line that was printed and told nothing. child: the number of the one that works.
    """

    def __enter__(self) -> _Server:
        self.words, self.child, self._rest = "", 0, b""
        self._lines: list[bytes] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        assert self._process.stdin and self._process.stdout  # pipes
        self._asks, self._says = self._process.stdin, self._process.stdout
        self.ask(sys.path)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_child()
        self._process.kill()
        self._asks.close()
        self._says.close()
        self._process.wait()

    def kill_child(self) -> None:
        if self.child:
            with suppress(ProcessLookupError):
                os.kill(self.child, signal.SIGKILL)

    def ask(self, request: object) -> None:
        with suppress(BrokenPipeError):  # what it printed says why
            self._asks.write(f"{json.dumps(request)}\n".encode())

    def line(self, until: float) -> dict | None:
        """What is said next, or None when that time is over; {"gone": True} where the server has
        ended."""
        while True:
            while self._lines:
                text = self._lines.pop(0)
                with suppress(ValueError):
                    line = json.loads(text)
                    if isinstance(line, dict):
                        return line
                self.words = text.decode(errors="replace").strip()[-_LAST_WORDS:] or self.words
            wait = max(until - time.monotonic(), 0.0)
            if not select.select([self._says], [], [], wait)[0]:
                return None
            data = self._says.read(65536)
            if not data:
                return {"gone": True}
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._lines = list(filter(None, lines))


class _Child:
    """One child. blamed: whether a candidate was its end."""

    def __init__(
        self,
        questions: Sequence[Question],
        proof: Proof,
        server: _Server,
        end: float,
        limit: float,
    ):
        self._questions, self._proof, self._server = questions, proof, server
        self._end, self._limit = end, limit
        self.blamed = False
        self._answered = 0
        self._trying: tuple[int, str] | None = None

    def run(self, device: str, name: str, products: str) -> int:
        """The number of questions that were answered, from the first on.

        Ends with the child, or when the time for all is over.
        """
        self._server.ask(
            {
                "device": device,
                "products": products,
                "seconds": max(self._end - time.monotonic(), 0.0),
                "questions": [self._asked(question) for question in self._questions],
            }
        )
        self._server.words, since = "", time.monotonic()
        while True:
            until, tried = self._end, None if self.blamed else self._trying
            if tried is not None:
                until = min(until, since + self._limit)
            line = self._server.line(until)
            since = time.monotonic()
            if line is None and tried is not None and until < self._end:
                self._blame(*tried, f"no answer in {self._limit:g} s")
                self._server.kill_child()
            elif line is None:
                return self._answered
            elif "gone" in line or "ended" in line:
                self._server.child = 0
                self._ended(line.get("ended"))
                return self._answered
            else:
                self._take(line, name)

    def _asked(self, question: Question) -> dict:
        results = self._proof.answers[question.name]
        candidates = {n: spec for n, spec in question.candidates.items() if not results[n].why}
        return asdict(question) | {"candidates": candidates}

    def _take(self, line: dict, name: str) -> None:
        """One of the lines that `child.answer` describes."""
        if "process" in line:
            self._server.child = line["process"]
        elif "trying" in line:
            self._trying = None if line["trying"] is None else tuple(line["trying"])
        elif "checked" in line:
            result = self._result(*line["checked"])
            result.error, result.why = line["error"], line["why"]
            self._trying = None
        elif "timed" in line:
            for candidate, seconds in line["seconds"].items():
                self._result(line["timed"], candidate).seconds[line["size"]] = seconds
        elif "answered" in line:
            self._answered = line["answered"] + 1
        elif "no_memory" in line:
            self._proof.lasting = False
        elif "lost" in line:  # its result has come before; another child goes on
            self.blamed = True
        elif "failed" in line:
            self._proof.end(line["failed"])
        elif "device" in line and name not in ("", line["device"]):
            self._proof.end(f"a new process finds {line['device']} in the place of {name}")

    def _ended(self, code: int | None) -> None:
        """The child's end (None: the server's), where nothing that it said explains it."""
        if self._answered == len(self._questions) or self.blamed or self._proof.why:
            return
        how = "it cannot be started" if code is None else f"it ended with exit code {code}"
        if code is not None and code < 0:
            how = f"it was ended by {_signal_name(-code)}"
        if self._trying is not None and code is not None:
            self._blame(*self._trying, how)
        else:
            words = f"the process for trying: {how}", self._server.words
            self._proof.end("; ".join(filter(None, words)))

    def _blame(self, case: int, name: str, why: str) -> None:
        result = self._result(case, name)
        result.why = "; ".join(filter(None, [why, self._server.words]))
        result.seconds.clear()
        self.blamed = True

    def _result(self, number: int, candidate: str) -> Result:
        return self._proof.answers[self._questions[number].name][candidate]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
