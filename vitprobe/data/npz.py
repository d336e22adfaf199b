"""`npz:PATH`: images and labels in one NumPy file."""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vitprobe.data.arrays import check_shape
from vitprobe.data.images import ArrayImages
from vitprobe.data.layout import listed
from vitprobe.errors import InputError
from vitprobe.files import open_file
from vitprobe.text import printable

MOST_CLASSES = 1_000_000
KEYS = ("images", "labels")
# Compressed arrays larger than both are refused: a file of a few bytes may claim any size.
EXPANDED = 1 << 30  # bytes
RATIO = 20
DEFLATE = 1032  # times: more it cannot do

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # NumPy writes no others
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def npz(path: str | Path, split: str) -> ArrayImages:
    """Keys `images`, uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), and `labels`, integers (N,).

    The whole set, whatever the split. Classes are 0 .. max(labels); mean and std are the exact
    ones of these images, computed when asked for. Nothing is unpickled, and no array is made room
    for that the file cannot hold. Raises InputError that names what is wrong: file, key, dtype,
    shape, size, length or class index.
    """
    where = f"npz:{printable(path, longest=None)}"
    images, labels = _read(path, where)
    if images.dtype != np.uint8:
        raise InputError(f"{where}: images must be uint8 (0..255), got {images.dtype}")
    notes = check_shape(images.shape, f"{where}: images")
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise InputError(
            f"{where}: labels must be integers of shape (N,), got {labels.dtype} {labels.shape}"
        )
    if len(labels) != len(images):
        raise InputError(f"{where}: {len(images)} images but {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= MOST_CLASSES:
        raise InputError(
            f"{where}: labels must be class indices from 0, found {labels.min()} to {labels.max()}"
        )
    data = ArrayImages(f"npz:{path}", split, images, labels, range(int(labels.max()) + 1))
    data.notes = notes
    return data


def _read(path: str | Path, where: str) -> list[np.ndarray]:
    with open_file(path, "npz") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of headers that Python 2 wrote
        try:
            if file.read(6) == np.lib.format.MAGIC_PREFIX:
                raise InputError(f"{where} is a single array: save images and labels in one .npz")
            with zipfile.ZipFile(file) as archive:
                members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
                missing = [key for key in KEYS if key not in members]
                if missing:
                    keys = listed(list(members)) or "none"
                    raise InputError(
                        f"{where}: no {' and no '.join(missing)}; its keys are: {keys}"
                    )
                held = os.fstat(file.fileno()).st_size
                return [_array(archive, members[key], held, f"{where}: {key}") for key in KEYS]
        except InputError:
            raise
        except MemoryError as error:
            raise InputError(f"{where}: no memory for its arrays") from error
        except Exception as error:  # of damaged archives and headers: many types
            reason = printable(" ".join(str(error).split()))
            raise InputError(
                f"{where} cannot be read: truncated, not an .npz file, or with Python objects "
                f"in it, which are never loaded ({reason})"
            ) from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, held: int, what: str) -> np.ndarray:
    """The array in a member, after its size was compared with what a file of `held` bytes holds."""
    with archive.open(member) as opened:
        header = npy_header(opened)
    if header.dtype.hasobject:
        raise ValueError(f"{what} holds Python objects")
    check_member(member, header, held, what)
    with archive.open(member) as opened:
        return np.lib.format.read_array(opened, allow_pickle=False)


def check_member(member: zipfile.ZipInfo, header: NpyHeader, held: int, what: str) -> None:
    """Raises ValueError where a member is not as its header says, or a file of `held` bytes cannot
    hold it; InputError where it would expand too far."""
    if member.compress_type not in _METHODS:
        raise ValueError(f"{member.filename} is compressed otherwise than NumPy does")
    size = header.offset + header.nbytes
    if size != member.file_size:
        raise ValueError(f"{what} should have {size:,} bytes, and has {member.file_size:,}")
    stored = min(member.compress_size, held)
    compressed = member.compress_type != zipfile.ZIP_STORED
    if size > stored * (DEFLATE if compressed else 1):
        raise ValueError(f"{what} should have {size:,} bytes, more than {stored:,} can hold")
    if compressed and size > max(EXPANDED, RATIO * stored):
        raise InputError(
            f"{what} expands to {size:,} bytes, over {RATIO} times what is stored: if that is "
            "meant, save it with numpy.savez, uncompressed"
        )


@dataclass(frozen=True)
class NpyHeader:
    """Of a .npy file: what it says, and the byte at which its numbers begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int

    @property
    def nbytes(self) -> int:
        """Of the numbers alone."""
        return math.prod(self.shape) * self.dtype.itemsize


def npy_header(file: BinaryIO) -> NpyHeader:
    """The header of the .npy file that begins where `file` stands. Raises ValueError."""
    start = file.tell()
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"a header of version {version}")
    return NpyHeader(*_HEADERS[version](file), file.tell() - start)
