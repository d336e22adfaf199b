"""Sums in a file: what a run has so far, with all that says of which run.

A safetensors file of the sums, whose metadata hold the rest as JSON. Nothing in it is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from vitprobe.errors import InputError
from vitprobe.passes.identity import KNOWN
from vitprobe.passes.share import Share, as_ranges, from_ranges
from vitprobe.passes.sums import Sums
from vitprobe.text import printable
from vitprobe.writing import write_file

FORMAT = 1
SUFFIX = ".partial"
_KEY = "vitprobe"
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
    content = safetensors.torch.save(states, metadata={_KEY: json.dumps(about)})
    write_file(path, lambda file: file.write(content))


def read_partial(path: Path) -> Saved:
    """What is in the file.

    Raises:
        InputError: there is none, or it is damaged, another program's or of another version.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            states = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise InputError(f"there is no {printable(path)}") from error
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, RecursionError) as error:
        why = f"it is cut short, or no partial of vitprobe ({type(error).__name__})"
        raise InputError(f"cannot read {printable(path)}: {why}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise InputError(f"{printable(path)} is of another version of vitprobe: start it afresh")
    try:
        for part in about["parts"]:
            _ = part["analysis"], part["version"], dict(part["about"])
        index, count = about["share"]
        return Saved(
            about["parts"],
            Share(index, count),
            from_ranges(about["done"]),
            *(about[name] for name in ("total", "passes", "device", "skipped", "notes", "seconds")),
            states,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"cannot read {printable(path)}: {error!r} in it") from error


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


def outlines(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of parts what is known before the models were looked at, as `known_parts` gives it."""
    return [
        part | {"about": {key: value for key, value in part["about"].items() if key in KNOWN}}
        for part in parts
    ]


def check_same(
    path: Path, saved: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]
) -> None:
    """Both are of one run: the same models, data, options and sites, and of the same meaning.

    Raises:
        InputError: they are not; it says what differs, field by field.
    """
    found = differences(saved, now)
    if found:
        shown = "; ".join(found[:_MOST]) + ("; ..." if len(found) > _MOST else "")
        raise InputError(f"{printable(path)} is of another run ({shown})")


def differences(saved: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[str]:
    """What differs, as `seed 0, now 1`."""
    names, others = ([part["analysis"] for part in parts] for parts in (saved, now))
    if names != others:
        return [f"analyses {', '.join(names)}, now {', '.join(others)}"]
    found = []
    for one, other in zip(saved, now, strict=True):
        if one["version"] != other["version"]:
            versions = f"{one['version']}, now {other['version']}"
            found.append(f"version of {one['analysis']}'s estimator {versions}")
        found += _in_fields("", one["about"], other["about"])
    return list(dict.fromkeys(found))


def _in_fields(name: str, saved: Any, now: Any) -> list[str]:
    """The innermost fields that are not the same."""
    if isinstance(saved, Mapping) and isinstance(now, Mapping):
        keys = dict.fromkeys([*saved, *now])
        fields = [(key, saved.get(key), now.get(key)) for key in keys if key != "notes"]
    elif isinstance(saved, list) and isinstance(now, list) and len(saved) == len(now):
        fields = [(name, one, other) for one, other in zip(saved, now, strict=True)]
    elif saved == now:
        return []
    else:
        return [f"{name.replace('_', ' ')} {_brief(saved)}, now {_brief(now)}"]
    return [line for key, one, other in fields for line in _in_fields(key, one, other)]


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries"
    if isinstance(value, Mapping):
        return f"{len(value)} fields"
    text = "none" if value in (None, "") else str(value)
    return printable(text[:12] if len(text) == 64 else text, 60)
