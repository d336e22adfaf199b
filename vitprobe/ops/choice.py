"""Which kernel runs: the one that the environment asks for, else the fastest that was right here.

The kernels of a GPU are tried at the first use of any operator on it (`proof/`), unless that was
done before on such a machine.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

import vitprobe
from vitprobe.errors import VitprobeWarning
from vitprobe.ops import sizes
from vitprobe.ops.candidates import CANDIDATES
from vitprobe.ops.library import driver, has_kernels, library_file
from vitprobe.ops.proof.question import Answers, Question, Result, fastest
from vitprobe.ops.proof.remembered import cache_folder
from vitprobe.ops.proof.run import Limits, Proof
from vitprobe.ops.proof.tune import Machine, look_up, tuned
from vitprobe.ops.variants import KERNELS, REFERENCE, SIMPLE, forced_kernel, tune_mode

#: For who asks for it (`vitprobe tune`) and waits.
PATIENT = Limits(candidate=60.0, total=300.0)

_answers: dict[tuple[int, str], Answers] = {}  # (device, how float32 is multiplied) -> answers
_picked: dict[tuple, str] = {}
_one_at_a_time = threading.Lock()


def candidate(
    operator: str, x: torch.Tensor, kind: str, size: Callable[..., str], *numbers: int
) -> Callable:
    """What runs for x: a function of the operator's arguments (`candidates.py`).

    size: gives the size class of these numbers; where shapes are to stay free (torch.export), that
    of large inputs is taken.
    """
    sized = x.is_cuda and not torch.compiler.is_exporting()
    kernel = kernel_for(operator, x.device, kind, size(*numbers) if sized else sizes.LARGE)
    return CANDIDATES[operator][kernel]


@torch.compiler.assume_constant_result  # torch.compile takes the answer, not the code behind it
def kernel_for(operator: str, device: torch.device, kind: str, size: str) -> str:
    """The kernel's name; on the CPU `simple` is the only one.

    May try the kernels, in another process (so also while a stream is captured), and say so.

    Raises:
        InputError: an environment variable says what it cannot.
    """
    forced = forced_kernel(operator, kind) if device.type == "cuda" else None
    if forced == REFERENCE or not has_kernels(device):
        return REFERENCE
    if device.type != "cuda":
        return SIMPLE
    if forced is not None:
        return forced
    index = torch.cuda.current_device() if device.index is None else device.index
    key = (operator, index, kind, size, _products())
    if key not in _picked:
        if tune_mode() == "0":
            return SIMPLE
        _picked[key] = pick(_answers_of(index)[operator, kind], size)
    return _picked[key]


def pick(results: dict[str, Result], size: str) -> str:
    """The fastest right candidate for this size, or the reference."""
    return next(iter(ranked(results, size)), REFERENCE)


def ranked(results: dict[str, Result], size: str) -> list[str]:
    """The right candidates, the fastest first. Of huge inputs the reference, which needs memory in
    proportion to them, is the last resort."""
    if size != sizes.HUGE:
        return fastest(results, size)
    own = fastest(results, sizes.LARGE, without=(REFERENCE,))
    return own or fastest(results, sizes.LARGE)


def tune(index: int) -> Answers:
    """Try all kernels on this GPU, however often that was done; see `vitprobe tune`."""
    with _one_at_a_time:
        return _learn(index, again=True, limits=PATIENT)


class Choice(NamedTuple):
    """One line of what was chosen: `kernel` runs; `results` of all candidates, by name."""

    operator: str
    kind: str
    size: str
    kernel: str
    results: dict[str, Result]


def choices(index: int) -> list[Choice]:
    """What runs on this GPU where the environment does not say otherwise; empty where its kernels
    were not tried yet. Nothing is tried here."""
    answers = _answers.get((index, _products()))
    if answers is None:
        proof = look_up(machine(index), questions(), cache_folder())
        answers = {} if proof is None else proof.answers
    return [
        Choice(operator, kind, size, pick(results, size), results)
        for (operator, kind), results in answers.items()
        for size in _sizes(results)
    ]


def _sizes(results: dict[str, Result]) -> list[str]:
    timed = dict.fromkeys(size for result in results.values() for size in result.seconds)
    return list(timed) or ["all"]


@cache
def questions() -> tuple[Question, ...]:
    """One for each operator and type."""
    found = []
    for operator, kernels in KERNELS.items():
        for kind in kernels.types:
            functions = {name: CANDIDATES[operator][name] for name in kernels.of(kind)}
            specs = {name: f"{f.__module__}:{f.__name__}" for name, f in functions.items()}
            cases = f"vitprobe.ops.proof.cases:{operator}"
            found.append(Question(operator, kind, cases, specs))
    return tuple(found)


def machine(index: int) -> Machine:
    """This GPU, and all that decides which kernel is right and fastest there."""
    properties = torch.cuda.get_device_properties(index)
    name = torch.cuda.get_device_name(index)
    key = {
        "device": name,
        "capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": str(properties.multi_processor_count),
        "driver": driver(),
        "torch": torch.__version__,
        "vitprobe": vitprobe.__version__,
        "library": _hash(library_file("_C_cuda")),
        "products": _products(),
    }
    return Machine(f"cuda:{index}", name, key, _products())


@cache
def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _products() -> str:
    """How torch multiplies float32, which is the reference's error and time."""
    return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "ieee"


def _answers_of(index: int) -> Answers:
    with _one_at_a_time:
        found = _answers.get((index, _products()))
        return _learn(index, again=tune_mode() == "force") if found is None else found


def _learn(index: int, *, again: bool, limits: Limits | None = None) -> Answers:
    here = machine(index)
    proof = tuned(here, questions(), cache_folder(), again=again, limits=limits)
    warn_of_the_reference(here.name, proof)
    _answers[index, _products()] = proof.answers
    _picked.clear()
    return proof.answers


def warn_of_the_reference(name: str, proof: Proof) -> None:
    """Once, where no candidate passed: of which operators, and why."""
    lost = {key: r for key, r in proof.answers.items() if all(c.why for c in r.values())}
    if not lost:
        return
    which = "any operator"
    if len(lost) < len(proof.answers):
        operators: dict[str, list[str]] = {}
        for operator, kind in lost:
            operators.setdefault(operator, []).append(kind)
        which = ", ".join(f"{name} ({' '.join(kinds)})" for name, kinds in operators.items())
    results = next(iter(lost.values()))
    why = proof.why or "; ".join(
        dict.fromkeys(f"{name}: {result.why}" for name, result in reversed(results.items()))
    )
    warnings.warn(
        f"no kernel is known to be right on {name} for {which} ({why}); the slower PyTorch "
        "reference runs",
        VitprobeWarning,
        stacklevel=2,
    )
