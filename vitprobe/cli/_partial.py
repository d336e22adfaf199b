"""Where a run's sums are kept: beside its results, and never in the place of another run's."""

from dataclasses import dataclass
from pathlib import Path

from vitprobe.cli._ending import note
from vitprobe.cli._options import RunOptions
from vitprobe.cli._output import ResultFiles
from vitprobe.errors import InputError
from vitprobe.passes.identity import known_parts
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.partial import SUFFIX, Saved
from vitprobe.passes.reader import Reader
from vitprobe.passes.share import Share
from vitprobe.text import printable


@dataclass(frozen=True)
class Place:
    """path: of the partial. saved: what it holds of this run already; None: nothing."""

    path: Path
    saved: Saved | None = None


def find(
    files: ResultFiles, reader: Reader, images: Inputs, run: RunOptions, share: Share | None
) -> Place:
    """The partial of this run, wherever it is; else where it is to be.

    What is no partial of this run keeps its place, unless `--overwrite` was asked for.

    Raises:
        InputError: there is something to go on from, but of another run, or unreadable; and of this
            one there is neither a partial nor a result.
    """
    parts = known_parts([reader], images)
    names = (files.stem, f"{files.stem}-{files.run[:8]}")
    plain, other = (
        files.folder / f"{name}{share.suffix if share else ''}{SUFFIX}" for name in names
    )
    refusals = []
    for path in (plain, other):
        try:
            saved = Keeper(path, share, resume=True).earlier(parts)
        except InputError as error:
            refusals.append(error)
            continue
        if saved is not None:
            return Place(path, saved)
    if not refusals or run.overwrite:
        return Place(plain)
    if run.resume and (share or not files.there()):
        raise refusals[0]
    if plain.exists():
        note(f"{refusals[0]}: this one's is {printable(other)}")
        return Place(other)
    return Place(plain)
