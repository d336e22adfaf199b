"""Results to files: all of them or none."""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import xarray as xr

from vitprobe.errors import InputError

Writer = Callable[[xr.Dataset, Path], None]


def check_folder(folder: str, option: str = "--output") -> Path:
    """The folder, tried for writing before any work is done; it is made when there is a result.

    Raises:
        InputError: it, or the nearest folder above it that exists, cannot be written to.
    """
    if not folder.strip():
        raise InputError(f"{option} is empty: name a folder, or . for this one")
    path = Path(folder)
    try:
        nearest = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to {option} {folder}: {error.strerror or error}; name another folder"
        ) from None
    return path


def stem(dataset: xr.Dataset) -> str:
    """`cka-vit-resnet18`: analysis and models, or study, in characters any file system takes."""
    parts = [dataset.attrs["analysis"]]
    for key in ("study", "model", "model_a", "model_b"):
        if key not in dataset.attrs:
            continue
        name, _, weights = dataset.attrs[key].partition("@")
        parts.append(f"{name}@{Path(weights).stem}" if weights else name)
    return "-".join(file_word(part) for part in parts)


def file_word(text: str) -> str:
    """The text in characters that any file system takes."""
    return re.sub(r"[^\w.@-]+", "_", text)


def distinct(names: list[str]) -> list[str]:
    """The same names; those that occur more than once get numbers."""
    return [
        f"{name}-{names[:i].count(name) + 1}" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def save(
    datasets: list[xr.Dataset],
    folder: Path,
    writers: dict[str, Writer],
    together: dict[str, Callable[[Path], object]] | None = None,
) -> list[Path]:
    """Write each dataset by each writer (suffix -> function), then put all in place at once.

    together: suffix -> function that writes a file of all datasets, named after all of them.

    Returns:
        The paths written, in order.

    Raises:
        InputError: the disk refuses; nothing is left behind then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".vitprobe-") as scratch:
            paths = []
            # two pairs may share a name: models of two files that are called alike, say
            names = distinct([stem(dataset) for dataset in datasets])
            for dataset, name in zip(datasets, names, strict=True):
                for suffix, write in writers.items():
                    path = Path(scratch) / f"{name}{suffix}"
                    write(dataset, path)
                    paths.append(path)
            for suffix, write in (together or {}).items():
                path = Path(scratch) / f"{_joint_stem(datasets)}{suffix}"
                write(path)
                paths.append(path)
            for path in paths:
                os.replace(path, folder / path.name)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from None
    return [folder / path.name for path in paths]


def _joint_stem(datasets: list[xr.Dataset]) -> str:
    """`attention-vit-deit`: the analysis and the models of all datasets."""
    analysis = f"{datasets[0].attrs['analysis']}-"
    return analysis + "-".join(stem(dataset).removeprefix(analysis) for dataset in datasets)
