"""Sums in a file: what a run has so far, with all that says of which run.

A safetensors file of the sums, whose metadata hold the rest as JSON. Nothing in it is run.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vitprobe.errors import InputError
from vitprobe.files import regular_file
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


def check_states(path: Path, saved: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> None:
    """The sums have the names, shapes and types of those that they are to be.

    Raises:
        InputError: they have not.
    """
    forms = [
        {name: (tuple(x.shape), x.dtype) for name, x in states.items()} for states in (saved, now)
    ]
    if forms[0] != forms[1]:
        names = [name for name in forms[1] if forms[0].get(name) != forms[1][name]]
        wrong = ", ".join(sorted(names or forms[0].keys() - forms[1].keys())[:_MOST])
        raise InputError(f"cannot read {printable(path)}: it has other sums ({printable(wrong)})")


def parts_of(sums: Sums) -> list[dict[str, Any]]:
    """Of each reader what it is and what it reads, as a file holds it."""
    parts = [
        {"analysis": part.analysis, "version": part.version, "about": part.about}
        for part in sums.parts
    ]
    return json.loads(json.dumps(parts))
