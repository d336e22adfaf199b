"""Files of a run that lie in a folder of their own, which is called as the run is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from vitprobe.cli._names import stems
from vitprobe.cli._output import ResultFiles, Writers
from vitprobe.file_names import shortened


@dataclass(frozen=True)
class FolderWriters:
    """How results become a folder of files.

    contents: of all that the run gave the results, and name -> what is in the file: a `.nc` for
    each, in order. main: the name of the one among them whose attributes say of which run all are.
    """

    contents: Callable[[Sequence[xr.Dataset]], tuple[list[xr.Dataset], dict[str, bytes]]]
    main: str


REPORT = "report.html"  # the page of all of them


class FolderFiles(ResultFiles):
    """Files of one run, as `ResultFiles`, in `FOLDER/NAME/`; what is saved on the way, and the
    lock, stand beside that folder."""

    writers: FolderWriters

    def _chosen(self) -> list[str]:
        (run,) = self._runs
        (name,) = stems(self._runs, self._words) if self.name is None else [self.name]
        self._free_names = [self._free(name, run)]
        self._stem = self._free_names[0]
        return [self.writers.main]

    def _contents(
        self, results: Sequence[xr.Dataset]
    ) -> tuple[Sequence[xr.Dataset], dict[str, bytes]]:
        self._chosen()  # once more: another run may have ended meanwhile
        return self.writers.contents(results)

    def shown(self) -> list[Path]:
        return [self._home()]

    def _page_name(self) -> str:
        return REPORT

    def _home(self) -> Path:
        return self.folder / self.stem

    def _place(self, name: str) -> Path:
        return self.folder / shortened(name) / self.writers.main

    def _called(self, name: str) -> str:
        return shortened(name)


def result_files(folder: str, writers: Writers | FolderWriters, **how) -> ResultFiles:
    """The files of a command's results, whichever way they are written; how: see `ResultFiles`."""
    kind = FolderFiles if isinstance(writers, FolderWriters) else ResultFiles
    return kind(folder, writers, **how)
