"""`hfds:NAME_OR_FOLDER[:COLUMN]`: a data set that Hugging Face's library `datasets` reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from vitprobe.data.decode import CorruptImage, decoded
from vitprobe.data.extras import library
from vitprobe.data.images import ImageData
from vitprobe.data.layout import SPLIT_FOLDERS, listed
from vitprobe.data.npz import MOST_CLASSES
from vitprobe.data.transforms import to_pil
from vitprobe.errors import InputError
from vitprobe.files import expanded, regular_file
from vitprobe.text import printable

LABELS = ("label", "labels", "fine_label")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk leaves in its folder


def hub_dataset(spec: str, split: str) -> HubImages:
    """A folder written by `save_to_disk`, a folder of parquet files or of images, a .parquet file,
    or a name on the Hub, which the library downloads or has in its cache.

    COLUMN holds the images; without it, the first column of the feature Image, else one that is
    named image, img or pixel... Labels are those of a ClassLabel column (first of LABELS, if there
    are several), which has the class names, else integers called one of LABELS; else -1. The split
    is that of its name (test: validation where there is no test); what has no splits is the whole
    set, whatever the split.

    Raises InputError without the library (`[hfds]`), and for what it cannot find or read.
    """
    datasets = library("datasets", "hfds")
    where, column = _parts(str(spec))
    name = f"hfds:{printable(spec, longest=None)}"
    with _one_line(name):
        held = _opened(datasets, where)
        own_split = _own_split(held, split, where, name)
        table = held[own_split] if own_split else held
        column = _image_column(datasets, table, column, name)
        labels, class_names = _labels(datasets, table, column, name)
        table = table.select_columns([column])
        table = table.with_format("arrow")  # as stored: images are decoded as others are
    return HubImages(name, split, table, column, labels, class_names, own_split)


class HubImages(ImageData):
    """A column of a `datasets.Dataset`, decoded on demand; `paths` are NAME SPLIT row NUMBER."""

    def __init__(self, name, split, table, column, labels, class_names, own_split):
        super().__init__(name, split, labels, class_names, image_size=None)
        self._table, self._column = table, column
        self._stem = " ".join(filter(None, (name, own_split, "row")))

    @property
    def paths(self) -> list[str]:
        return [f"{self._stem} {index}" for index in range(len(self))]

    def decode(self, index: int) -> Image.Image:
        path = f"{self._stem} {int(index)}"
        try:
            value = self._table[int(index)][self._column][0].as_py()
            if isinstance(value, dict):  # of the feature Image
                value = value.get("bytes") or value.get("path")
            if isinstance(value, bytes):
                self.decoding.check_bytes(len(value))
            if isinstance(value, list):
                value = _levels(value)
            if isinstance(value, (np.ndarray, Image.Image)):
                return to_pil(value)
        except Exception as error:  # of a damaged file, or of Pillow
            raise CorruptImage(path, error) from error
        if not isinstance(value, (bytes, str)):
            raise CorruptImage(path, f"no image, but {type(value).__name__}")
        return decoded(value, path, self.decoding)


def _parts(spec: str) -> tuple[str, str | None]:
    """ "a/b:img" -> ("a/b", "img"): a colon parts them if what precedes it can be a data set."""
    before, colon, column = spec.rpartition(":")
    if colon and not expanded(spec, "hfds").exists():
        if not column:
            raise InputError(f"hfds:{printable(spec)} lacks its column after the colon")
        if expanded(before, "hfds").exists() or _HUB_NAME.fullmatch(before):
            return before, column
    return spec, None


def _opened(datasets, where: str):
    """A Dataset, or a DatasetDict of its splits."""
    path = expanded(where, "hfds")
    if path.is_dir():
        for file in path.rglob("*"):
            if file.exists() and not file.is_dir():
                regular_file(file, "file")  # the library would wait for a pipe
        if any((path / name).is_file() for name in _SAVED):
            return datasets.load_from_disk(str(path))
        held = datasets.load_dataset(str(path.resolve()))
        return held["train"] if set(held) == {"train"} and not _names_train(path) else held
    if path.exists():
        regular_file(path, "hfds")
        if path.suffix != ".parquet":
            raise InputError(f"hfds:{where} is a file: give a folder, or a .parquet file")
        return datasets.load_dataset("parquet", data_files=str(path), split="train")
    if not _HUB_NAME.fullmatch(where):
        raise InputError(f"hfds:{where}: no such file or folder")
    return datasets.load_dataset(where)


def _names_train(folder: Path) -> bool:
    """Whether a file or folder says "train": the library calls all files so where none does."""
    return any("train" in path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def _own_split(held, split: str, where: str, name: str) -> str:
    """The split's name in the data set; "" where it has no splits."""
    if not isinstance(held, dict):
        return ""
    found = next((own for own in SPLIT_FOLDERS[split] if own in held), None)
    if found is None:
        raise InputError(f"{name} has no {split} split; it has: {listed(list(held))}")
    return found


def _image_column(datasets, table, column: str | None, name: str) -> str:
    columns = table.column_names
    if column is not None:
        if column not in columns:
            raise InputError(
                f"{name}: no column {printable(column)!r}; there are: {listed(columns, 20)}"
            )
        return column
    images = [key for key in columns if isinstance(table.features[key], datasets.Image)]
    named = [key for key in columns if re.match(r"images?$|img|pixel", key)]
    if not images + named:
        raise InputError(
            f"{name} has no column of images among {listed(columns, 20)}: name one, {name}:COLUMN"
        )
    return (images + named)[0]


def _labels(datasets, table, column: str, name: str) -> tuple[np.ndarray, list]:
    """Class index of each row, int64, -1 where there is none, and the classes."""
    kinds = {key: kind for key, kind in table.features.items() if key != column}
    classes = [key for key, kind in kinds.items() if isinstance(kind, datasets.ClassLabel)]
    integers = [
        key for key in LABELS if str(getattr(kinds.get(key), "dtype", "")).lstrip("u")[:3] == "int"
    ]
    key = next((key for key in LABELS if key in classes), (classes + integers + [None])[0])
    if key is None:
        return np.full(len(table), -1), []
    held = table.select_columns([key]).with_format("arrow")[:][key]
    labels = np.maximum(held.fill_null(-1).to_numpy().astype(np.int64), -1)
    if key in classes:
        return labels, kinds[key].names
    if labels.max(initial=-1) >= MOST_CLASSES:
        raise InputError(f"{name}: {key} must be class indices from 0, found {labels.max()}")
    return labels, range(int(labels.max(initial=-1)) + 1)


def _levels(value: list) -> np.ndarray:
    """Nested lists of 0..255 -> uint8; other values as they are, which `to_pil` refuses."""
    array = np.asarray(value)
    whole = array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255
    return array.astype(np.uint8) if whole else array


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """What the library says, of which there are many kinds and lines, as an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
        reason = printable((lines or [type(error).__name__])[0])
        raise InputError(f"{name} cannot be read ({reason})") from error
