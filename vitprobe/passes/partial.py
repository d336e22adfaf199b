"""Sums in a file: what a run has so far, with all that says of which run.

A safetensors file of the sums, whose metadata hold the rest as JSON. Nothing in it is run.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vitprobe.errors import InputError
from vitprobe.files import regular_file
from vitprobe.passes.identity import KNOWN
from vitprobe.passes.share import MOST, Share, as_ranges, from_ranges
from vitprobe.passes.sums import Sums
from vitprobe.text import printable
from vitprobe.writing import write_file

FORMAT = 1
SUFFIX = ".partial"
_KEY, _DIGEST = "vitprobe", "sha256"
_MOST = 3  # differences that are told


@dataclass
class Saved:
    """What a partial says.

    parts: of each reader its `analysis`, `version` and `about`. share: which batches of the run it
    is to hold; done: which it holds. states: as `Sums.states`. The rest as in `Sums`.
    """

    parts: list[dict[str, Any]]
    share: Share
    done: set[int]
    total: int | None
    passes: int
    device: str
    skipped: list[str]
    notes: list[str]
    seconds: dict[str, float]
    states: dict[str, Tensor]

    def told(self) -> dict[str, Any]:
        """What it says beside the sums, as `Sums.told`."""
        names = ("done", "total", "skipped", "notes", "seconds")
        return {name: getattr(self, name) for name in names}

    @property
    def complete(self) -> bool:
        """Whether it holds every batch that it is to hold."""
        return self.total is not None and self.share.numbers(self.total) <= self.done


def write_partial(path: Path, sums: Sums, share: Share) -> None:
    """All of the file or, where that fails, what was there before.

    Raises:
        OSError: the disk refuses.
    """
    about = {
        "format": FORMAT,
        "parts": parts_of(sums),
        "share": [share.index, share.count],
        "done": as_ranges(sums.done),
        "total": sums.total,
        "passes": sums.passes,
        "device": sums.device,
        "skipped": sums.skipped,
        "notes": sums.notes,
        "seconds": sums.seconds,
    }
    states = {name: x.detach().cpu().contiguous() for name, x in sums.states().items()}
    text = json.dumps(about)
    metadata = {_KEY: text, _DIGEST: _digest(text, states)}
    content = safetensors.torch.save(states, metadata=metadata)
    write_file(path, lambda file: file.write(content))


def read_partial(path: Path) -> Saved:
    """What is in the file.

    Raises:
        InputError: there is none, or it is damaged, another program's or of another version.
    """
    try:
        with safetensors.safe_open(regular_file(path, "partial"), "pt") as file:
            metadata = file.metadata() or {}
            text, digest = metadata[_KEY], metadata.get(_DIGEST)
            about = json.loads(text)
            states = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except InputError:
        raise
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, RecursionError) as error:
        why = f"it is cut short, or no partial of vitprobe ({type(error).__name__})"
        raise InputError(f"cannot read {printable(path)}: {why}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise InputError(f"{printable(path)} is of another version of vitprobe: start it afresh")
    if digest != _digest(text, states):
        raise InputError(f"cannot read {printable(path)}: it is damaged (its SHA-256 is another)")
    try:
        return _saved(about, states)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"cannot read {printable(path)}: {error!r} in it") from error


def _saved(about: Mapping[str, Any], states: dict[str, Tensor]) -> Saved:
    """Raises one of several errors for what no `write_partial` wrote."""
    index, count = map(operator.index, about["share"])
    total, passes = about["total"], operator.index(about["passes"])
    if not 0 <= index < count or passes < 1:
        raise ValueError(f"share {index} of {count}, {passes} passes")
    if total is not None and not 0 <= operator.index(total) <= MOST:
        raise ValueError(f"{total} batches")
    for part in about["parts"]:
        named = isinstance(part["analysis"], str) and isinstance(part["version"], int)
        if not (named and isinstance(part["about"], dict)):
            raise TypeError(f"analysis {part['analysis']!r}")
    return Saved(
        about["parts"],
        Share(index, count),
        from_ranges(about["done"]),
        total,
        passes,
        str(about["device"]),
        [str(path) for path in about["skipped"]],
        [str(note) for note in about["notes"]],
        {str(part): float(value) for part, value in about["seconds"].items()},
        states,
    )


def _digest(text: str, states: Mapping[str, Tensor]) -> str:
    """SHA-256 of all that a file holds, in hex."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(states):
        x = states[name]
        digest.update(f"{name} {x.dtype} {tuple(x.shape)}".encode())
        digest.update(x.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def parts_of(sums: Sums) -> list[dict[str, Any]]:
    """Of each reader what it is and what it reads, as a file holds it."""
    parts = [
        {"analysis": part.analysis, "version": part.version, "about": part.about}
        for part in sums.parts
    ]
    return json.loads(json.dumps(parts))


def outlines(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of parts what is known before the models were looked at, as `known_parts` gives it."""
    return [
        {**part, "about": {key: value for key, value in part["about"].items() if key in KNOWN}}
        for part in parts
    ]


def check_same(
    path: Path, saved: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]
) -> None:
    """Both are of one run: the same models, data, options and sites, and of the same meaning.

    Raises:
        InputError: they are not; it says what differs, field by field.
    """
    if found := differences(saved, now, ", now "):
        raise InputError(f"{printable(path)} is of another run ({found})")


def differences(
    saved: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], between: str
) -> str:
    """What differs, as `seed 0, now 1; ...`, or ""."""
    found = [f"{name} {one}{between}{other}" for name, one, other in _different(saved, now)]
    return "; ".join(found[:_MOST]) + ("; ..." if len(found) > _MOST else "")


def _different(
    saved: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str, str]]:
    names, others = ([part["analysis"] for part in parts] for parts in (saved, now))
    if names != others:
        return [("analyses", ", ".join(names), ", ".join(others))]
    found = []
    for one, other in zip(saved, now, strict=True):
        if one["version"] != other["version"]:
            name = f"version of {one['analysis']}'s estimator"
            found.append((name, _brief(one["version"]), _brief(other["version"])))
        found += _in_fields("", one["about"], other["about"])
    return list(dict.fromkeys(found))


def _in_fields(name: str, saved: Any, now: Any) -> list[tuple[str, str, str]]:
    """The innermost fields that are not the same."""
    if isinstance(saved, Mapping) and isinstance(now, Mapping):
        keys = dict.fromkeys([*saved, *now])
        fields = [(key, saved.get(key), now.get(key)) for key in keys if key != "notes"]
    elif isinstance(saved, list) and isinstance(now, list) and len(saved) == len(now):
        fields = [(name, one, other) for one, other in zip(saved, now, strict=True)]
    elif saved == now:
        return []
    else:
        return [(name.replace("_", " "), _brief(saved), _brief(now))]
    return [each for key, one, other in fields for each in _in_fields(key, one, other)]


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries"
    if isinstance(value, Mapping):
        return f"{len(value)} fields"
    text = "none" if value in (None, "") else str(value)
    return printable(text[:12] if len(text) == 64 else text, 60)
