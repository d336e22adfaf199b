"""Results to files: all of them or none, and never in the place of another run's."""

import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import H5NetCDFStore

from vitprobe.cli._ending import note
from vitprobe.cli._names import file_names, joint, stems
from vitprobe.cli._page import PAGE, RESULT, check_page, page_beside
from vitprobe.cli._typed import typed
from vitprobe.errors import InputError
from vitprobe.file_names import file_word, joined, shortened
from vitprobe.packages import package
from vitprobe.passes.provenance import run_id
from vitprobe.text import SHORT, printable
from vitprobe.writing import check_folder, write_together

Writer = Callable[[xr.Dataset], bytes | None]
_MOST = 3  # differences that are told


@dataclass(frozen=True)
class Writers:
    """How results become files. What gives None is not written.

    each: suffix -> function, for each result; `.nc` is one of them. together: suffix -> function
    that makes one file of all results.
    """

    each: Mapping[str, Writer]
    together: Mapping[str, Callable[[Sequence[xr.Dataset]], bytes | None]] = field(
        default_factory=dict
    )


class ResultFiles:
    """The files of one command's results.

    folder: as typed. name: what they are called instead of what was done. overwrite: take the place
    of whatever has the name. report: a page of them, too.

    Raises:
        InputError: the folder cannot be written to, or a library that writes is missing.
    """

    def __init__(
        self,
        folder: str,
        writers: Writers,
        *,
        name: str | None = None,
        overwrite: bool = False,
        report: bool = False,
        option: str = "output",
    ):
        self.folder, self.writers = check_folder(folder, name=option), writers
        self.name, self.overwrite, self.report = name, overwrite, report
        self.option = option
        self._told: set[str] = set()
        _library("h5netcdf")  # told before anything is computed
        if name is not None and (not name.strip() or file_word(name).strip(".") != name):
            raise InputError(f"--name {printable(name)!r} is no file name: use letters and digits")

    def settle(self, runs: Sequence[Mapping[str, Any]], words: Sequence[str] = ()) -> None:
        """Choose the names, before anything is computed: a run takes its own place again, and never
        that of another.

        runs: for each result, the facts that decide it. words: beside these, what is not as by
        default.

        Raises:
            InputError: the name that was asked for is taken by another run; or a file cannot be
                written.
        """
        self._runs, self._words = runs, words
        names = self._chosen()
        if self.report:
            names = [*names, self._page_name()]
            if not self.overwrite:
                check_page(self.page)
        check_folder(self._home(), names, self.option)

    @property
    def stem(self) -> str:
        """What the whole run is called: its only result's name, or that of all together."""
        return shortened(self._stem)

    @property
    def run(self) -> str:
        """SHA-256 of the whole run, in hex."""
        return run_id({"runs": list(map(run_id, self._runs))})

    @property
    def page(self) -> Path:
        """Where the page of the results is, or would be."""
        return self._home() / self._page_name()

    def there(self) -> dict[Path, Mapping[str, Any]]:
        """Attributes of the results of this very run, where all are there already; else {}."""
        found = {}
        for name, run in zip(self._free_names, self._runs, strict=True):
            path = self._place(name)
            held = _attributes(path) if path.exists() else {}
            if held.get("run") != run_id(run):
                return {}
            found[path] = held
        return found

    def shown(self) -> list[Path]:
        """What a page of the results shows, once they are there: files, or their folder."""
        return list(self.there())

    def _chosen(self) -> list[str]:
        runs, words = self._runs, self._words
        names = stems(runs, words)
        whole = joint(runs, words)
        if self.name is not None:
            several = len(runs) > 1  # all of them under the name, what shows them together too
            names = _under(self.name, runs, names) if several else [self.name]
            whole = _under(self.name, runs[:1], [whole])[0] if several else self.name
        free = [self._free(name, run) for name, run in zip(names, runs, strict=True)]
        self._free_names, self._stem = free, free[0] if len(runs) == 1 else self.name or whole
        if free != names:
            whole = f"{whole}-{self.run[:8]}"
            if len(runs) > 1:
                self._stem = f"{self._stem}-{self.run[:8]}"
        self._page_stem = free[0] if len(runs) == 1 else whole
        each, together = list(self.writers.each), list(self.writers.together)
        return file_names(free, each) + file_names([whole], together)

    def _free(self, name: str, run: Mapping[str, Any]) -> str:
        path = self._place(name)
        held = None if self.overwrite or not path.exists() else _attributes(path)
        if held is None or held.get("run") == run_id(run):
            return name
        why = f"{printable(path)} holds another run ({_differences(held, run)})"
        if self.name is not None:
            raise InputError(f"{why}: give another --name, or --overwrite")
        other = f"{name}-{run_id(run)[:8]}"
        line = f"{why}: this one is {self._called(other)}"
        if line not in self._told:
            note(line)
            self._told.add(line)
        return other

    def save(self, results: Sequence[xr.Dataset]) -> list[Path]:
        """Each result by each writer, and those of all together: all of them or none.

        Returns:
            The paths written, in order.

        Raises:
            InputError: the folder refuses. The files are then in a new folder for temporary files,
                which the message names, unless that refuses too.
        """
        results, files = self._contents(_typed(results))
        if self.report:
            files |= self._page(results, files)
        folder = self._home()
        try:
            return write_together(folder, files)
        except (OSError, InputError) as error:
            why = error if isinstance(error, InputError) else error.strerror or error
            line = f"cannot write to {printable(folder)}: {why}"
            raise InputError(f"{line}{_saved_elsewhere(files)}") from error

    def _contents(
        self, results: Sequence[xr.Dataset]
    ) -> tuple[Sequence[xr.Dataset], dict[str, bytes]]:
        """The results, and what is written, by the files' names: a `.nc` for each, in order."""
        contents = [write(result) for result in results for write in self.writers.each.values()]
        contents += [write(results) for write in self.writers.together.values()]
        names = self._chosen()  # once more: another run may have ended meanwhile
        found = zip(names, contents, strict=True)
        return results, {name: content for name, content in found if content is not None}

    def _page(self, results: Sequence[xr.Dataset], names: Iterable[str]) -> dict[str, bytes]:
        """The page; where there can be none, a note: the results are not lost for it."""
        try:
            return {self._page_name(): page_beside(results, list(names))}
        except InputError as error:
            note(f"there is no page: {error}")
            return {}

    def _page_name(self) -> str:
        return file_names([self._page_stem], [PAGE])[0]

    def _home(self) -> Path:
        """The folder that the files lie in, once the names are chosen."""
        return self.folder

    def _place(self, name: str) -> Path:
        """The file of the result of this name, whose attributes say of which run it is."""
        return self.folder / file_names([name], [RESULT])[0]

    def _called(self, name: str) -> str:
        """What the result of this name is called where it is told."""
        return f"{name}{RESULT}"


def _typed(results: Sequence[Any]) -> list[Any]:
    """The results, which say what was typed for them; what else there is among them as it is."""
    return [
        each.assign_attrs(command=typed()) if isinstance(each, xr.Dataset) else each
        for each in results
    ]


def _library(name: str) -> ModuleType:
    return package(name, f"results ({RESULT} files)", name)


def netcdf(dataset: xr.Dataset) -> bytes:
    """The dataset as a netCDF file. Made in memory: HDF5 does not survive a disk that is full."""
    buffer = io.BytesIO()
    with _library("h5netcdf").File(buffer, "w") as file:
        dataset.dump_to_store(H5NetCDFStore(file))
    return buffer.getvalue()


def _under(name: str, runs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """`NAME-vit-resnet18` for each of several results."""
    return [
        joined([name, each.removeprefix(f"{run['analysis']}-")])
        for run, each in zip(runs, names, strict=True)
    ]


def _attributes(path: Path) -> Mapping[str, Any]:
    """Those of a result; {} of a file that is none."""
    h5py = _library("h5py")
    try:
        with h5py.File(path, "r") as file:
            held = {key: value for key, value in file.attrs.items() if not key.startswith("_")}
            return {
                key: value[0] if np.shape(value) == (1,) else value for key, value in held.items()
            }
    except (OSError, ValueError, KeyError, RuntimeError):  # as h5py words damage
        return {}


def _differences(held: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """What a file says that is not so of this run, in a few words."""
    if "analysis" not in held:
        return "it is no result of vitprobe"
    found = [
        f"{key.replace('_', ' ')} {_brief(held[key])}, now {_brief(value)}"
        for key, value in run.items()
        if key in held and str(held[key]) != str(value)
    ]
    if not found:
        return "of another version of vitprobe"
    return "; ".join(found[:_MOST]) + ("; ..." if len(found) > _MOST else "")


def _brief(value: Any) -> str:
    return printable(str(value)[:12] if len(str(value)) == 64 else str(value), SHORT) or "none"


def _saved_elsewhere(files: Mapping[str, bytes]) -> str:
    """Hours of work are not lost because a disk became full meanwhile."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="vitprobe-results-"))
    except OSError:
        return "; nothing was written"
    try:
        write_together(folder, files)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return "; nothing was written"
    return f"; the results are in {folder} instead"
