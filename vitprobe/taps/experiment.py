"""The experiment that tells where examples lie: run a few, move them, and add one more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from vitprobe.data.model_input import ModelInput, run
from vitprobe.models.quantised import has_quantised
from vitprobe.taps.axes import ExampleAxis, difference, foldings, rounding, sample, scaled_axis
from vitprobe.taps.hooks import hooked
from vitprobe.taps.identity import SeenTensors
from vitprobe.taps.outputs import Keys, tensors
from vitprobe.taps.writes import WriteWatch

Key = tuple[str, int, Keys | None]  # module path, call, keys of the tensor in the output

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

# Examples 0, 1, 2; then with one more among them, each in another place, with other neighbours.
FEW = [0, 1, 2]
MOVED = [1, 0, 3, 2]
MOVED_BACK = [MOVED.index(i) for i in FEW]

MIXES = "mixes examples: what it gives for an image depends on the others in the batch"
CHANCE = "not the same from run to run: it depends on chance, or on the runs before"


@dataclass(frozen=True)
class Finding:
    """What the experiment says about one tensor: either `where` is known or there is a reason."""

    shape: tuple[int, ...] = ()  # per example; the whole tensor's where there is a reason
    dtype: torch.dtype | None = None
    where: ExampleAxis | None = None
    twin: Key | None = None  # the earlier tensor that this very tensor is
    written: bool = False  # in place, between its site and the forward's end
    reason: str | None = None


@dataclass
class _Seen:
    """What is kept of one tensor of one run; never the tensor."""

    shape: tuple[int, ...] = ()
    dtype: torch.dtype | None = None
    reason: str | None = None
    twin: Key | None = None
    written: bool = False
    samples: dict[ExampleAxis, torch.Tensor] = field(default_factory=dict)


_Run = dict[Key, _Seen]
# Where the examples of a tensor may be, to be sampled; or why they are nowhere.
_Guess = Callable[[Key, torch.Tensor], list[ExampleAxis] | str]


def experiment(
    model: nn.Module,
    modules: Mapping[str, nn.Module],  # by path
    four: Tensor | ModelInput,  # distinct examples
) -> dict[Key, Finding]:
    """Findings in the order in which the tensors come.

    From two forwards where they explain every tensor. Else the first is made again, and once more
    where something seems to mix examples: it may be chance.
    """
    first = _run(model, modules, four[FEW], _likely)

    def scaled(key: Key, tensor: torch.Tensor) -> list[ExampleAxis] | str:
        if key not in first:
            return []
        found = scaled_axis(first[key].shape, len(FEW), tuple(tensor.shape), len(MOVED))
        return found if isinstance(found, str) else foldings(*found)

    def as_in_moved(key: Key, tensor: torch.Tensor) -> list[ExampleAxis]:
        if key in first and key in moved and first[key].shape == tensor.shape:
            return list(moved[key].samples)
        return []

    moved = _run(model, modules, four[MOVED], scaled)
    tolerance = rounding({seen.dtype for seen in moved.values()}, four.device, has_quantised(model))
    runs = (first, moved, first)
    if _sampled_alike(first, moved):
        findings = _compared(runs, tolerance)
        if not _mixes(findings):
            return {key: _with_twin(key, runs, findings) for key in findings}

    plain = _run(model, modules, four[FEW], as_in_moved)
    runs = (first, moved, plain)
    findings = _compared(runs, tolerance)
    if _mixes(findings):
        again = _run(model, modules, four[FEW], as_in_moved)
        findings = {
            key: _blame_chance(finding, plain[key], again.get(key), tolerance)
            if finding.reason == MIXES
            else finding
            for key, finding in findings.items()
        }
    return {key: _with_twin(key, runs, findings) for key in findings}


def _likely(key: Key, tensor: torch.Tensor) -> list[ExampleAxis]:
    """Where the examples of a first forward lie most often: on the first axis."""
    k, rest = divmod(tensor.shape[0], len(FEW)) if tensor.ndim else (0, 1)
    return [] if rest else foldings(0, k)


def _run(
    model: nn.Module, modules: Mapping[str, nn.Module], batch: Tensor | ModelInput, guess: _Guess
) -> _Run:
    found: _Run = {}
    watches: dict[Key, WriteWatch] = {}
    seen_tensors: SeenTensors[Key] = SeenTensors()

    def begin() -> None:
        found.clear()
        watches.clear()

    def observe(path: str, call: int, output: Any) -> None:
        outputs = tensors(output)
        if not outputs:
            reason = f"its output is no tensor but {type(output).__name__}"
            found[path, call, None] = _Seen(reason=reason)
        for keys, tensor in outputs:
            key = (path, call, keys)
            found[key] = seen = _seen(tensor)
            if seen.reason:
                continue
            seen.twin = seen_tensors.first_owner(tensor, key)
            watches[key] = WriteWatch(tensor)
            where = guess(key, tensor)
            if isinstance(where, str):
                seen.reason = where
            else:
                seen.samples = {axis: sample(tensor, axis) for axis in where}

    with hooked(model, modules, observe, begin):
        run(model, batch)
    for key, watch in watches.items():
        found[key].written = watch.written()
    return found


def _seen(tensor: torch.Tensor) -> _Seen:
    if tensor.is_nested:  # such a tensor may have no shape
        return _Seen((), tensor.dtype, "its output is a nested tensor: one size for each example")
    return _Seen(tuple(tensor.shape), tensor.dtype, _unreadable(tensor))


def _unreadable(tensor: torch.Tensor) -> str | None:
    if tensor.layout != torch.strided:
        return "its output is a sparse tensor"
    if tensor.dtype not in FLOATS:
        return f"its output is {str(tensor.dtype).removeprefix('torch.')}, not floating point"
    if tensor.numel() == 0:
        return f"its output is empty: shape {tuple(tensor.shape)}"
    return None


def _sampled_alike(first: _Run, moved: _Run) -> bool:
    """Whether both runs gave the same tensors, and the first was sampled where the other was."""
    return first.keys() == moved.keys() and all(
        seen.reason or (moved[key].samples and moved[key].samples.keys() <= seen.samples.keys())
        for key, seen in first.items()
    )


def _compared(runs: tuple[_Run, ...], tolerance: float) -> dict[Key, Finding]:
    keys = dict.fromkeys(key for run in runs for key in run)
    return {key: _find([run.get(key) for run in runs], tolerance) for key in keys}


def _mixes(findings: dict[Key, Finding]) -> bool:
    return any(finding.reason == MIXES for finding in findings.values())


def _find(seen: list[_Seen | None], tolerance: float) -> Finding:
    if None in seen:
        return Finding(reason="fires in some forwards only")
    first, moved, plain = seen
    reason = first.reason or plain.reason
    if reason is None and first.shape != plain.shape:
        reason = "its shape changes from run to run"
    reason = reason or moved.reason
    if reason:
        return Finding(first.shape, first.dtype, reason=reason)
    errors = {
        where: difference(moved.samples[where][MOVED_BACK], plain.samples[where])
        for where in moved.samples
    }
    where = min(errors, key=errors.__getitem__)  # the first of equals
    if errors[where] > tolerance:
        return Finding(first.shape, first.dtype, reason=MIXES)
    written = any(run.written for run in seen)
    return Finding(where.per_example(first.shape), first.dtype, where, written=written)


def _blame_chance(finding: Finding, plain: _Seen, again: _Seen | None, tolerance: float) -> Finding:
    where = next(iter(plain.samples))
    same = again is not None and where in again.samples
    if same and difference(again.samples[where], plain.samples[where]) <= tolerance:
        return finding
    return replace(finding, reason=CHANCE)


def _with_twin(key: Key, runs: tuple[_Run, ...], findings: dict[Key, Finding]) -> Finding:
    """A twin in every run, and in the values too: `.data` writes do not raise the version."""
    finding = findings[key]
    if finding.where is None:
        return finding
    twin, *others = (run[key].twin for run in runs)
    if twin is None or others != [twin, twin] or findings[twin].where != finding.where:
        return finding
    plain = runs[-1]
    if difference(plain[key].samples[finding.where], plain[twin].samples[finding.where]) != 0.0:
        return finding
    return replace(finding, twin=twin)
