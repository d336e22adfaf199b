"""Results to files: made in memory first, then all of them or none."""

import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import h5netcdf
import xarray as xr
from xarray.backends import H5NetCDFStore

from vitprobe.errors import InputError
from vitprobe.file_names import distinct, file_word, joined, shortened
from vitprobe.text import printable
from vitprobe.writing import write_together

Writer = Callable[[xr.Dataset], bytes]


def stem(analysis: str, names: Iterable[str]) -> str:
    """`cka-vit-resnet18`: analysis and models, or study, in characters any file system takes.

    names: model specs; of weights in a file, the file's name without its ending counts.
    """
    parts = [analysis]
    for each in names:
        name, _, weights = each.partition("@")
        parts.append(f"{name}@{Path(weights).stem}" if weights else name)
    return joined([file_word(part) for part in parts])


def stem_of(dataset: xr.Dataset) -> str:
    """The `stem` of a result."""
    attrs = dataset.attrs
    keys = [key for key in ("study", "model", "model_a", "model_b") if key in attrs]
    return stem(attrs["analysis"], [attrs[key] for key in keys])


def file_names(
    stems: Sequence[str], suffixes: Iterable[str], together: Iterable[str] = ()
) -> list[str]:
    """The names of the files of results, in order.

    stems: of the results, all of one analysis. suffixes: `.nc` or `-filters.png`, for each of them;
    together: for one file of them all.
    """
    # two results may share a name: models of two files that are called alike, say
    ends = [(name, suffix) for name in distinct(stems) for suffix in suffixes]
    ends += [(_joint(stems), suffix) for suffix in together]
    names = []
    for name, suffix in ends:
        body, _, kind = suffix.rpartition(".")
        names.append(f"{shortened(name + body)}.{kind}")
    return names


def netcdf(dataset: xr.Dataset) -> bytes:
    """The dataset as a netCDF file. Made in memory: HDF5 does not survive a disk that is full."""
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        dataset.dump_to_store(H5NetCDFStore(file))
    return buffer.getvalue()


def save(
    datasets: list[xr.Dataset],
    folder: Path,
    writers: Mapping[str, Writer],
    together: Mapping[str, Callable[[], bytes]] | None = None,
) -> list[Path]:
    """Each dataset by each writer (suffix -> function) to files, all of them or none.

    together: suffix -> function that makes a file of all datasets, named after all of them.

    Returns:
        The paths written, in order.

    Raises:
        InputError: the folder refuses. The files are then in a new folder for temporary files,
            which the message names, unless that refuses too.
    """
    together = together or {}
    names = file_names([stem_of(dataset) for dataset in datasets], writers, together)
    contents = [write(dataset) for dataset in datasets for write in writers.values()]
    contents += [write() for write in together.values()]
    files = dict(zip(names, contents, strict=True))
    try:
        return write_together(folder, files)
    except (OSError, InputError) as error:
        why = error if isinstance(error, InputError) else error.strerror or error
        line = f"cannot write to {printable(folder)}: {why}"
        raise InputError(f"{line}{_saved_elsewhere(files)}") from error


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


def _joint(stems: Sequence[str]) -> str:
    """`attention-vit-deit`: the analysis and the models of all results."""
    analysis = stems[0].partition("-")[0]
    return joined([analysis, *(name.removeprefix(f"{analysis}-") for name in stems)])
