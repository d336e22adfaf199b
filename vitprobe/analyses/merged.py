"""Partials of a run that was shared among machines become its results."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import xarray as xr

from vitprobe.errors import InputError
from vitprobe.passes.merge import merged
from vitprobe.passes.reader import Reader
from vitprobe.passes.results import results_of
from vitprobe.text import shown


def merge(
    paths: str | Path | Sequence[str | Path], allow_missing: bool = False
) -> list[xr.Dataset]:
    """The results of a run of which every machine did a share (`--shard 3/8`).

    Neither models nor data are needed. The numbers are those of one run of all batches, but for the
    order in which float64 sums were added (1e-12 relative).

    Args:
        paths: the files that the shares left, in any order; also those of whole runs that were
            stopped.
        allow_missing: go on without batches that are in no file, and say so in the notes.

    Returns:
        The Datasets that the run would have given: of each of its analyses in turn.

    Raises:
        InputError: a file that cannot be read, of another run than the first, or with batches that
            another has, too; missing batches.
    """
    paths = [paths] if isinstance(paths, (str, Path)) else list(paths)
    sums = merged(paths, reader_of, allow_missing)
    readers = [reader_of(part.analysis) for part in sums.parts]
    return [result for results in results_of(sums, readers) for result in results]


def reader_of(analysis: str) -> type[Reader]:
    """The reader of an analysis, by its name: `READER` of its file here.

    Raises:
        InputError: there is none.
    """
    name = f"{__package__}.{analysis}"
    there = isinstance(analysis, str) and analysis.isidentifier() and find_spec(name)
    reader = getattr(import_module(name), "READER", None) if there else None
    if reader is None or reader.analysis != analysis:
        raise InputError(f"this version of vitprobe has no analysis {shown(analysis)} to merge")
    return reader
