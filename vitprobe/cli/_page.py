"""The page of some results, in a file: links to what lies beside them, and whose place it takes."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

import xarray as xr

from vitprobe.errors import InputError
from vitprobe.files import open_file
from vitprobe.report import page_of, results_on
from vitprobe.report.section import Entry
from vitprobe.text import printable
from vitprobe.writing import check_target

PAGE = ".html"
RESULT = ".nc"
LINKED = (RESULT, ".png", ".svg", ".pdf", ".csv", ".md")


def page_beside(results: Sequence[xr.Dataset], names: Sequence[str]) -> bytes:
    """The page of a run in the folder of its files.

    names: of the files, with a `.nc` for each result in their order. What is of all results
    together is linked from the first.
    """
    owners = owners_of(names)
    found = [name for name in names if name.endswith(RESULT)]
    entries = []
    for result, own in zip(results, found, strict=True):
        more = [name for name in owners if (owners[name] or found[0]) == own and name != own]
        files = [own, *more]
        entries.append(Entry(result, tuple((name, quote(name)) for name in files)))
    return page_of(entries).html.encode()


def owners_of(names: Iterable[str]) -> dict[str, str]:
    """For each file that a page may link to the result whose name it begins with, "": none. Of
    `cka-a-b-pairs.png` that is `cka-a-b.nc`. The longest name counts."""
    linked = sorted(name for name in names if name.endswith(LINKED))
    stems = sorted((Path(name).stem for name in linked if name.endswith(RESULT)), key=len)
    found = {}
    for name in linked:
        body = Path(name).stem
        own = (
            stem
            for stem in reversed(stems)
            if body == stem or body.startswith((f"{stem}-", f"{stem}."))
        )
        owner = next(own, None)
        found[name] = "" if owner is None else owner + RESULT
    return found


def links(paths: Iterable[Path], folder: Path) -> tuple[tuple[str, str], ...]:
    """Files as a page in the folder links to them: (name, address relative to the folder)."""
    found = []
    for path in paths:
        try:
            way = os.path.relpath(os.path.abspath(path), os.path.abspath(folder))
        except ValueError:  # on another drive
            continue
        found.append((path.name, quote(os.fsencode(Path(way).as_posix()))))
    return tuple(found)


def check_page(path: Path, of: Iterable[str] | None = None) -> None:
    """A page takes the place of a page, and of nothing else.

    of: what `results_on` gives of the new page: the old one must not be of other results. None: the
    name says whose it is.

    Raises:
        InputError: what is there is no page of vitprobe, or of other results.
    """
    check_target(path)
    if not path.exists():
        return
    with open_file(path, "page") as file:
        held = results_on(file.read(2**20).decode(errors="replace"))
    if held is None:
        why = "is no page of vitprobe"
    elif of is not None and not held <= set(of):
        why = "is a page of other results"
    else:
        return
    raise InputError(f"{printable(path)} {why}: write elsewhere (--output), or --overwrite")
