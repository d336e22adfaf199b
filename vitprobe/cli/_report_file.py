"""A page of results that are in files: where it goes, and its links to what lies beside them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import xarray as xr

from vitprobe.cli._folder import REPORT
from vitprobe.cli._page import PAGE, check_page, links, owners_of
from vitprobe.cli._report_inputs import results_in
from vitprobe.errors import InputError
from vitprobe.files import expanded
from vitprobe.report import page_of
from vitprobe.report.provenance import run_of
from vitprobe.report.section import Entry
from vitprobe.text import printable
from vitprobe.writing import check_folder, write_together


def write_page(
    words: Sequence[str | Path],
    output: str | Path | None = None,
    title: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Read results, write their page.

    words: files of results, and folders. output: file or folder as typed; None: beside the first
    result.

    Raises:
        InputError: what is named is no result, there is something else where the page is to be, or
            it cannot be written.
    """
    results = results_in(words)
    target = _target(output, words, list(results))
    check_folder(target.parent, [target.name])
    if not overwrite:
        check_page(target, map(run_of, results.values()))
    beside = _beside(results)
    entries = [
        Entry(result, links(beside[path], target.parent)) for path, result in results.items()
    ]
    data = page_of(entries, title).html.encode()
    try:
        (path,) = write_together(target.parent, {target.name: data})
    except OSError as error:
        raise InputError(
            f"cannot write {printable(target)}: {error.strerror or error}; give another --output"
        ) from error
    return path


def _target(output: str | Path | None, words: Sequence[str | Path], paths: Sequence[Path]) -> Path:
    one = len(words) == 1 and paths == [expanded(words[0], "result")]
    name = paths[0].stem + PAGE if one else REPORT
    if output is None:
        return paths[0].parent / name
    path = expanded(output, "--output")
    if path.is_dir() or str(output).endswith("/") or not path.suffix:
        return path / name
    if path.suffix.lower() not in (PAGE, ".htm"):
        raise InputError(
            f"--output {printable(output)} ends in {path.suffix}: a page ends in {PAGE}; a folder "
            "that is to be made ends in /"
        )
    return path


def _beside(results: Mapping[Path, xr.Dataset]) -> dict[Path, list[Path]]:
    """For each result its own file, and the figures and tables that have its name. What has no
    result's name in a folder of the paper is of the findings."""
    found, owners = {}, {}
    for path, result in results.items():
        folder = path.parent
        if folder not in owners:
            owners[folder] = owners_of(_files(folder))
        names = (path.name, *([""] if result.attrs["analysis"] == "paper" else []))
        own = [name for name, owner in owners[folder].items() if owner in names]
        found[path] = [path, *(folder / name for name in own if name != path.name)]
    return found


def _files(folder: Path) -> list[str]:
    with suppress(OSError):  # a folder may be one that is not to be listed
        return [each.name for each in folder.iterdir() if each.is_file()]
    return []
