"""What `vitprobe report` shows: the results in files and folders, each once."""

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from vitprobe.analyses.load_result import load_result
from vitprobe.analyses.training import training_result
from vitprobe.cli._ending import note
from vitprobe.cli._page import RESULT
from vitprobe.errors import InputError
from vitprobe.files import expanded
from vitprobe.report.provenance import labels
from vitprobe.report.words import TITLES
from vitprobe.text import printable

TABLE = ".csv"  # of a training run


def results_in(words: Sequence[str | Path]) -> dict[Path, xr.Dataset]:
    """File -> its result, of files and folders, in their order.

    Raises:
        InputError: there is no such file, it is no result, or a folder has none.
    """
    found: dict[Path, xr.Dataset] = {}
    for word in words:
        path = expanded(word, "result")
        known = {each.resolve() for each in found}
        some = _in_folder(path) if path.is_dir() else {path: _read(path)}
        found |= {each: result for each, result in some.items() if each.resolve() not in known}
    return found


def _read(path: Path) -> xr.Dataset:
    is_table = path.suffix.lower() == TABLE
    return training_result(path) if is_table else load_result(str(path))


def _in_folder(folder: Path) -> dict[Path, xr.Dataset]:
    """All of its results: findings first, analysis by analysis, models as the findings name
    them."""
    found = {}
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.endswith((RESULT, TABLE)))
    except OSError as error:
        raise InputError(f"cannot read {printable(folder)}: {error.strerror}") from error
    for path in paths:
        try:
            found[path] = _read(path)
        except InputError as error:
            if path.suffix == RESULT:  # most tables are of results
                note(f"left out: {error}")
    if not found:
        raise InputError(
            f"there is no result ({RESULT}) in {printable(folder)}, and no table of a training "
            "run: name a file, or the folder that a command wrote to"
        )
    first = [label for each in found.values() if _is_paper(each) for label in labels(each.attrs)]

    def place(path: Path) -> tuple:
        result = found[path]
        analysis = str(result.attrs["analysis"])
        known = list(TITLES).index(analysis) if analysis in TITLES else len(TITLES)
        of = [first.index(each) if each in first else len(first) for each in labels(result.attrs)]
        return not _is_paper(result), known, analysis, of, path.name

    return {path: found[path] for path in sorted(found, key=place)}


def _is_paper(result: xr.Dataset) -> bool:
    return result.attrs["analysis"] == "paper"
