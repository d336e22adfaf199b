"""Partials of one run, wherever they were made, become its sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from vitprobe.errors import InputError, option, say
from vitprobe.files import expanded
from vitprobe.passes.identity import differences, outlines
from vitprobe.passes.partial import Saved, check_states, read_partial
from vitprobe.passes.reader import Reader
from vitprobe.passes.share import Share
from vitprobe.passes.sums import Part, Sums
from vitprobe.text import printable

ReaderOf = Callable[[str], type[Reader]]

_MOST = 6  # numbers that are told one by one


def merged(paths: Sequence[str | Path], reader_of: ReaderOf, allow_missing: bool = False) -> Sums:
    """The sums of all batches that the partials hold, the same bits in any order of the files.

    Args:
        paths: of partials of one run: of shares of it, whose numbers may differ, or of all of it.
        reader_of: the reader of an analysis, by its name.
        allow_missing: go on without batches that are in no file, and say so in the notes.

    Raises:
        InputError: a file that is no partial, of another run than the first or with batches that
            another has, too; missing batches; an analysis that there is none of, or another version
            of its estimator.
    """
    found = _read(paths)
    _check_one_run(found)
    _check_apart(found)
    readers = _readers(found, reader_of)
    total = _total(found)
    missing = _missing(found, total)
    if missing and not allow_missing:
        raise InputError(f"{missing}: {_advice(found, total)}")
    # in an order of their own: sums of floating-point numbers depend on it
    ordered = sorted(found.items(), key=_place)
    whole, *others = [_sums(path, saved, readers) for path, saved in ordered]
    for other in others:
        whole.add(other)
    whole.total = total
    devices = dict.fromkeys(name for _, each in ordered for name in each.device.split(", "))
    whole.device = ", ".join(devices)
    if missing:
        whole.incomplete = True
        say(whole.notes, missing)
    return whole


def _read(paths: Sequence[str | Path]) -> dict[Path, Saved]:
    """By path, in the order given."""
    if not paths:
        raise InputError("no partials were given: name the .partial files of one run")
    found, places = {}, set()
    for path in (expanded(path, "partial") for path in paths):
        if set("*?[") & set(path.name) and not path.exists():
            raise InputError(f"no file is called as {printable(path)} says: check the pattern")
        saved = read_partial(path)
        if (place := path.resolve()) in places:
            raise InputError(f"{printable(path)} is given twice")
        places.add(place)
        found[path] = saved
    return found


def _check_one_run(found: Mapping[Path, Saved]) -> None:
    (first, one), *others = found.items()
    for path, other in others:
        both = one.parts, other.parts  # what was asked says more than what came of it
        differs = differences(*map(outlines, both), " and ") or differences(*both, " and ")
        if not differs and one.passes != other.passes:
            differs = f"passes {one.passes} and {other.passes}"
        if differs:
            files = f"{printable(first)} and {printable(path)}"
            raise InputError(f"{files} are of two runs, which cannot be merged ({differs})")


def _readers(found: Mapping[Path, Saved], reader_of: ReaderOf) -> list[type[Reader]]:
    """Those of the run, in their order; they understand what the files hold."""
    path, saved = next(iter(found.items()))
    readers = [reader_of(part["analysis"]) for part in saved.parts]
    for reader, part in zip(readers, saved.parts, strict=True):
        if part["version"] != reader.version:
            raise InputError(
                f"{printable(path)} holds version {part['version']} of {reader.analysis}'s "
                f"estimator, and this is version {reader.version}: compute it afresh"
            )
    return readers


def _check_apart(found: Mapping[Path, Saved]) -> None:
    """No batch is in two files."""
    owners: dict[int, Path] = {}
    for path, saved in found.items():
        if twice := saved.done & owners.keys():
            other = owners[min(twice)]
            same = [number for number in twice if owners[number] == other]
            raise InputError(
                f"{printable(other)} and {printable(path)} both hold {_batches(same)}: leave one "
                "of them out"
            )
        owners |= dict.fromkeys(saved.done, path)


def _total(found: Mapping[Path, Saved]) -> int | None:
    """How many batches the run has, as far as any file knows."""
    known = {path: saved.total for path, saved in found.items() if saved.total is not None}
    if not known:
        return None
    first, total = next(iter(known.items()))
    for path, saved in found.items():
        more = max(saved.done, default=-1) >= total
        if more or saved.total not in (None, total):
            says = f"holds batch {max(saved.done)}" if more else f"says {saved.total}"
            raise InputError(
                f"{printable(first)} says that the run has {total} batches, {printable(path)} "
                f"{says}: they saw other data"
            )
    return total


def _missing(found: Mapping[Path, Saved], total: int | None) -> str:
    """Which batches are in no file, in words; "" where they are all there."""
    done = set().union(*(saved.done for saved in found.values()))
    if total is None:
        gaps = set(range(max(done, default=-1))) - done
        seen = f"; before their last one, {_batches(gaps)} {_are(gaps)} missing" if gaps else ""
        return (
            "how many batches are missing is not known, as no partial saw the end of the "
            f"data: they hold {len(done)}{seen}"
        )
    gaps = set(range(total)) - done
    if not gaps:
        return ""
    shares = [str(share) for share in _lacking(found, gaps)]
    words = f" (share{'s' if len(shares) > 1 else ''} {_listed(shares)})" if shares else ""
    return f"{_batches(gaps)} of {total} {_are(gaps)} missing{words}"


def _lacking(found: Mapping[Path, Saved], gaps: set[int]) -> list[Share]:
    """The shares that missing batches belong to; [] where the files are of no such shares."""
    counts = {saved.share.count for saved in found.values()}
    if counts == {1} or len(counts) > 1:
        return []
    (count,) = counts
    return [Share(index, count) for index in sorted({number % count for number in gaps})]


def _advice(found: Mapping[Path, Saved], total: int | None) -> str:
    """What to do where batches are missing."""
    short = [printable(path) for path, saved in found.items() if not saved.complete]
    ways = []
    if short:
        ways.append(f"let the run of {_listed(short)} go on with {option('resume', True)}")
    if total is None or not short:
        ways.append("give the partials that hold them, too")
    return f"{', or '.join(ways)}; {option('allow_missing', True)} goes on without them"


def _place(item: tuple[Path, Saved]) -> tuple[bool, int, int, int]:
    saved = item[1]
    return not saved.done, min(saved.done, default=0), saved.share.count, saved.share.index


def _sums(path: Path, saved: Saved, readers: Sequence[type[Reader]]) -> Sums:
    """What a file holds, with the metrics of its readers."""
    with torch.device("meta"):  # no memory yet: a file may claim anything
        try:
            claimed = _like(saved, readers).states()
        except Exception as error:  # whatever a reader meets in what it did not write
            raise InputError(f"cannot read {printable(path)}: {error!r} in it") from error
    check_states(path, saved.states, claimed)
    sums = _like(saved, readers)
    sums.set_states(saved.states)
    return sums


def _like(saved: Saved, readers: Sequence[type[Reader]]) -> Sums:
    """All that is said beside the sums, which are zero."""
    parts = [
        Part(reader.analysis, reader.version, part["about"], reader.metrics_of(part["about"]))
        for reader, part in zip(readers, saved.parts, strict=True)
    ]
    lists = (set(saved.done), saved.total, list(saved.skipped), list(saved.notes))
    return Sums(parts, saved.passes, saved.device, *lists, dict(saved.seconds))


def _batches(numbers: Sequence[int] | set[int]) -> str:
    """`batch 3`, `batches 3, 11 and 19`, `batches 3, 11, 19, 27, 35 and 12 more`."""
    ordered = [str(number) for number in sorted(numbers)]
    return f"batch{'es' if len(ordered) > 1 else ''} {_listed(ordered)}"


def _are(numbers: set[int]) -> str:
    return "is" if len(numbers) == 1 else "are"


def _listed(words: Sequence[str]) -> str:
    if len(words) > _MOST:
        words = [*words[: _MOST - 1], f"{len(words) - _MOST + 1} more"]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
