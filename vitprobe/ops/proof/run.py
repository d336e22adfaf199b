"""Asks which candidates are right and how fast, in child processes: a fault there costs one."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from vitprobe.ops.proof.question import Answers, Question, Result

_CHILD = (
    "import json, sys; request = json.load(sys.stdin); sys.path[:] = request['path']; "
    "from vitprobe.ops.proof.child import answer; answer(request)"
)
_LAST_WORDS = 4096  # characters of what a child printed that is no result


@dataclass(frozen=True)
class Limits:
    """Seconds: of one candidate between two of its results, and of everything together."""

    candidate: float = 6.0
    total: float = 20.0


@dataclass
class Proof:
    """answers: of every question, also where there was none (`why` says so).
    why: nothing could be tried, or "". lasting: whether the next process would find the same: not
    where memory was wanting, or the device was another's.
    """

    answers: Answers
    why: str = ""
    lasting: bool = True


def prove(
    questions: Sequence[Question],
    device: str,
    limits: Limits,
    *,
    name: str = "",
    products: str = "ieee",
) -> Proof:
    """Try the candidates of all questions on the device.

    One child takes them one after another. When it dies, hangs or loses the device, the candidate
    that it was at is out, and a new child goes on with the rest. Nothing here touches the device,
    so that it may be called while a stream is captured.

    name: what torch calls the device; a child that sees another one answers nothing. products: how
    torch multiplies float32 there (`torch.backends.cuda.matmul.fp32_precision`).
    """
    proof = Proof({each.name: {c: Result() for c in each.candidates} for each in questions})
    end = time.monotonic() + limits.total
    left = list(questions)
    while left and not proof.why:
        child = _Child(left, proof, device, products, end, limits)
        answered = child.run(name)
        left = left[answered:]
        if not child.blamed and left:
            break
    if left:
        why = proof.why or "not tried: the time for all was over; `vitprobe tune` takes longer"
        for question in left:
            for result in proof.answers[question.name].values():
                result.why = result.why or why
                result.seconds.clear()
    return proof


class _Child:
    """One child process. blamed: whether a candidate was its end."""

    def __init__(
        self,
        questions: Sequence[Question],
        proof: Proof,
        device: str,
        products: str,
        end: float,
        limits: Limits,
    ):
        self.questions, self.proof, self.end, self.limits = questions, proof, end, limits
        self.blamed = False
        self._trying: tuple[int, str] | None = None
        self._answered, self._words, self._rest = 0, "", b""
        self._request = {
            "path": sys.path,
            "device": device,
            "products": products,
            "seconds": max(end - time.monotonic(), 0.0),
            "questions": [self._asked(question) for question in questions],
        }

    def _asked(self, question: Question) -> dict:
        results = self.proof.answers[question.name]
        candidates = {n: spec for n, spec in question.candidates.items() if not results[n].why}
        return asdict(question) | {"candidates": candidates}

    def run(self, name: str) -> int:
        """The number of questions that were answered, from the first on."""
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", _CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            self._nothing(f"no process to try it in: {error.strerror or error}")
            return 0
        try:
            self._read(process, name)
        finally:
            process.kill()
            process.stdout.close()
            code = process.wait()
        if self._answered < len(self.questions) and not self.blamed and not self.proof.why:
            self._ended(code)
        return self._answered

    def _read(self, process: subprocess.Popen, name: str) -> None:
        """Until all is answered, the child is gone, or a limit is over."""
        try:
            process.stdin.write(json.dumps(self._request).encode())
            process.stdin.close()
        except BrokenPipeError:  # it says why
            pass
        since = time.monotonic()
        while self._answered < len(self.questions) and not self.blamed and not self.proof.why:
            until = self.end
            if self._trying is not None:
                until = min(until, since + self.limits.candidate)
            wait = until - time.monotonic()
            if wait <= 0 or not select.select([process.stdout], [], [], wait)[0]:
                if self._trying is not None and until < self.end:
                    self._blame(f"no answer in {self.limits.candidate:g} s")
                return
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in filter(None, lines):
                if self._take(line, name):
                    since = time.monotonic()

    def _take(self, text: bytes, name: str) -> bool:
        """Whether the line is the child's; else it is something's last words."""
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict):
            self._words = text.decode(errors="replace").strip()[-_LAST_WORDS:] or self._words
            return False
        if "trying" in line:
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
            self.proof.lasting = False
        elif "lost" in line:  # its result has come before; another child goes on
            self.blamed = True
        elif "failed" in line:
            self._nothing(line["failed"])
        elif "device" in line and name not in ("", line["device"]):
            self._nothing(f"a new process finds {line['device']} in the place of {name}")
        return True

    def _ended(self, code: int) -> None:
        """The child's end, which nothing that it said explains."""
        if time.monotonic() >= self.end:
            return
        how = f"it ended with exit code {code}"
        if code < 0:
            how = f"it was ended by {_signal_name(-code)}"
        if self._trying is not None:
            self._blame(how)
        else:
            self._nothing("; ".join(filter(None, [f"the process for trying: {how}", self._words])))

    def _blame(self, why: str) -> None:
        result = self._result(*self._trying)
        result.why = "; ".join(filter(None, [why, self._words]))
        result.seconds.clear()
        self.blamed = True

    def _nothing(self, why: str) -> None:
        self.proof.why, self.proof.lasting = why, False

    def _result(self, number: int, candidate: str) -> Result:
        return self.proof.answers[self.questions[number].name][candidate]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
