"""What is asked of the candidates for one operator and type, and what was found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Question:
    """Which of these candidates is right, and how long does each take?

    kind: the type. cases: `package.module:function` of `(kind, device) -> Iterable[Case]`, and
    candidates: the same of each candidate, by name; both are imported in the child.
    """

    operator: str
    kind: str
    cases: str
    candidates: dict[str, str]

    @property
    def name(self) -> tuple[str, str]:
        return self.operator, self.kind


@dataclass(frozen=True)
class Case:
    """One input of a question.

    what: names it in a reason. arguments: makes them, anew for what changes them in place. error:
    of what a candidate returned; more than `limit` is wrong. size: the size class that it is timed
    for, or "" where it is only checked.
    """

    what: str
    arguments: Callable[[], tuple]
    error: Callable[[Any], float]
    limit: float
    size: str = ""


@dataclass
class Result:
    """Of one candidate. error: the largest of all cases, None where it gave no number. why: it is
    left out, or "". seconds: size class -> median of a call."""

    error: float | None = None
    why: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


Answers = dict[tuple[str, str], dict[str, Result]]  # (operator, type) -> candidate -> result


def fastest(results: dict[str, Result], size: str, without: Iterable[str] = ()) -> list[str]:
    """The right candidates that were timed for this size, the fastest first."""
    right = [
        name
        for name, result in results.items()
        if not result.why and size in result.seconds and name not in without
    ]
    return sorted(right, key=lambda name: results[name].seconds[size])


def as_json(answers: Answers) -> list[dict]:
    return [
        {
            "operator": operator,
            "type": kind,
            "candidates": {name: asdict(result) for name, result in results.items()},
        }
        for (operator, kind), results in answers.items()
    ]


def from_json(items: Any) -> Answers:
    """Raises ValueError, TypeError or KeyError for anything that `as_json` does not write."""
    return {
        (str(item["operator"]), str(item["type"])): {
            str(name): _result(**result) for name, result in dict(item["candidates"]).items()
        }
        for item in items
    }


def _result(error: Any, why: Any, seconds: Any) -> Result:
    times = {str(size): float(value) for size, value in dict(seconds).items()}
    if not all(math.isfinite(value) and value > 0 for value in times.values()):
        raise ValueError("no seconds")
    return Result(None if error is None else float(error), str(why), times)
