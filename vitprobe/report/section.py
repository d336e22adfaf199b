"""Results -> the sections of a page, one for each analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import xarray as xr

from vitprobe.analyses.findings import findings_of
from vitprobe.errors import InputError
from vitprobe.figures import plot, png_bytes
from vitprobe.figures.legible import legible
from vitprobe.report.drawn import drawn, text
from vitprobe.report.kinds import Kind, Picture
from vitprobe.report.provenance import facts, heading, notes
from vitprobe.report.words import ASKED, TITLES
from vitprobe.text import printable

SAME = ("dataset", "split", "order", "seed", "examples", "batch_size")  # of results of one run


@dataclass(frozen=True)
class Entry:
    """A result and where its files are, as links from the page: name -> address."""

    result: xr.Dataset
    files: tuple[tuple[str, str], ...] = ()

    @property
    def analysis(self) -> str:
        return str(self.result.attrs["analysis"])


def sections(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """A section for each analysis, in the order in which they come."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.analysis, []).append(entry)
    return [_checked(analysis, group) for analysis, group in groups.items()]


def _checked(analysis: str, entries: Sequence[Entry]) -> dict[str, Any]:
    """Files hold what others wrote: numbers of a wrong kind, shape or size."""
    try:
        return _section(analysis, entries)
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"cannot show this result of {text(analysis)}: it is not as vitprobe writes one "
            f"({printable(why)}); compute it again"
        ) from error


def _section(analysis: str, entries: Sequence[Entry]) -> dict[str, Any]:
    results = [legible(entry.result) for entry in entries]
    return {
        "name": text(analysis),
        "title": TITLES.get(analysis, text(analysis.replace("_", " "))),
        "asked": ASKED.get(analysis, ""),
        "findings": _findings(results),
        "figures": [drawn(kind) for kind in _kinds(analysis, results)],
        "results": [_about(entry, result) for entry, result in zip(entries, results, strict=True)],
    }


def _kinds(analysis: str, results: Sequence[xr.Dataset]) -> Sequence[Kind]:
    name = f"vitprobe.report.sections.{analysis}"
    if analysis.isidentifier() and find_spec(name):
        return import_module(name).figures(results)
    return [Picture(heading(each), png_bytes(plot(each))) for each in results]


def _findings(results: Sequence[xr.Dataset]) -> list[dict[str, Any]]:
    """Sentences, of results of the same images together."""
    runs: dict[tuple, list[xr.Dataset]] = {}
    for result in results:
        runs.setdefault(tuple(str(result.attrs.get(key)) for key in SAME), []).append(result)
    return [
        {
            "sentence": text(each.sentence),
            "told": each.told,
            "question": text(each.question.text),
            "figure": text(each.question.figure),
        }
        for run in runs.values()
        for _, each in findings_of(run)
    ]


def _about(entry: Entry, result: xr.Dataset) -> dict[str, Any]:
    return {
        "title": text(heading(result)),
        "command": text(result.attrs.get("command", "")),
        "facts": facts(result),
        "notes": notes(result),
        "files": [[text(name), address] for name, address in entry.files],
    }
