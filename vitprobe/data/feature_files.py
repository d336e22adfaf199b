"""Activations that somebody stored: the arrays of a .npz, .npy or .safetensors file.

Uncompressed ones are read where they lie. What is compressed, or stored column by column, is first
copied row by row to a temporary file, so that no array is ever in memory as a whole.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from safetensors import safe_open

from vitprobe.data.npz import NpyHeader, check_member, npy_header
from vitprobe.data.stored_array import BFLOAT16, Opened, Place, StoredArray, in_file, sampled
from vitprobe.errors import InputError, brief
from vitprobe.files import expanded, open_file
from vitprobe.text import printable

ENDINGS = (".npz", ".npy", ".safetensors")
HOW = "numpy.savez, numpy.save and safetensors write what is read here"
PIECE = 1 << 20  # bytes that are copied at a time
NOTED = 1 << 28  # bytes of copies that are worth a word

_LOCAL_HEADER = 30  # bytes of a zip member's own header, before its name
_SAFETENSORS = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": BFLOAT16, "BOOL": "?"},
    **{f"{sign}{8 * size}": f"<{sign.lower()}{size}" for sign in "IU" for size in (1, 2, 4, 8)},
}


@dataclass(frozen=True)
class FeatureFile:
    """The arrays of a file in its order (of safetensors, which sorts them, numbers in their names
    in theirs), and how many bytes of them are copied to be read."""

    arrays: list[StoredArray]
    copied: int = 0


def feature_file(path: str | Path) -> FeatureFile:
    """What a file holds; nothing of it is read but what its arrays are, and nothing is unpickled.

    Raises:
        InputError: no such file, one of another kind, damaged, or with less in it than it claims.
    """
    name = printable(path)
    place = expanded(path, "features")
    try:
        with open_file(path, "features") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's, of headers that Python 2 wrote
            return _reader(file, place)(file, place)
    except InputError:
        raise
    except Exception as error:  # of damaged archives and headers: many types
        raise InputError(
            f"features {name} cannot be read: truncated, or no {' or '.join(ENDINGS)} file "
            f"({brief(error)})"
        ) from error


def _reader(file: BinaryIO, path: Path) -> Callable[[BinaryIO, Path], FeatureFile]:
    start = file.read(6)
    file.seek(0)
    if start == np.lib.format.MAGIC_PREFIX:
        return _npy
    if start.startswith(b"PK") and path.suffix not in (".pt", ".pth"):
        return _npz
    if path.suffix == ".safetensors":
        return _safetensors
    raise InputError(f"features {printable(path)}: no {', '.join(ENDINGS)} file; {HOW}")


def _npy(file: BinaryIO, path: Path) -> FeatureFile:
    header = npy_header(file)
    _check_end(file, header.offset + header.nbytes)
    place = Place(Opened(file), header.offset)
    digest = sampled(place, header.nbytes)
    return _arrays([(path.stem, header, partial(_same, place), digest, False)])


def _npz(file: BinaryIO, path: Path) -> FeatureFile:
    opened, archive = Opened(file), zipfile.ZipFile(file)
    held = os.fstat(file.fileno()).st_size
    found = []
    for member in archive.infolist():
        if not member.filename.endswith(".npy"):
            continue
        what = f"features {printable(path)}: {printable(member.filename)}"
        with archive.open(member) as inside:
            header = npy_header(inside)
        if not header.dtype.hasobject:  # a pickle, which is never read, has any size
            check_member(member, header, held, what)
        compressed = member.compress_type != zipfile.ZIP_STORED
        if compressed:
            place = partial(_unpacked, opened, member, header, what)
        else:
            place = partial(Place, opened, _start(file, member) + header.offset)
        name = member.filename.removesuffix(".npy")
        found.append((name, header, place, f"crc32 {member.CRC:08x}", compressed))
    return _arrays(found)


def _arrays(found: list[tuple[str, NpyHeader, Callable[[], Place], str, bool]]) -> FeatureFile:
    """Of name, header, place, digest, and whether it is compressed."""
    arrays, copied = [], 0
    for name, header, place, digest, compressed in found:
        rows_apart = header.fortran and len(header.shape) > 1
        if rows_apart:
            place = partial(_row_by_row, place, header, name)
        each = in_file(name, header.shape, header.dtype, place, digest)
        arrays.append(each)
        copied += header.nbytes if (compressed or rows_apart) and not each.reason else 0
    return FeatureFile(arrays, copied)


def _start(file: BinaryIO, member: zipfile.ZipInfo) -> int:
    """The byte at which a stored member begins: its own header may differ from the archive's."""
    lengths = os.pread(file.fileno(), 4, member.header_offset + _LOCAL_HEADER - 4)
    return (
        member.header_offset
        + _LOCAL_HEADER
        + int.from_bytes(lengths[:2], "little")
        + int.from_bytes(lengths[2:], "little")
    )


def _unpacked(opened: Opened, member: zipfile.ZipInfo, header: NpyHeader, what: str) -> Place:
    try:
        with opened.file() as file, zipfile.ZipFile(file).open(member) as inside:
            inside.read(header.offset)
            return _copy(iter(lambda: inside.read(PIECE), b""), what)
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise InputError(f"{what} is damaged ({brief(error)})") from error


def _row_by_row(place: Callable[[], Place], header: NpyHeader, name: str) -> Place:
    """A copy of what is stored column by column."""
    there = place()
    rows = max(1, PIECE * header.shape[0] // max(1, header.nbytes))
    with there.opened.file() as file:
        held = np.memmap(file, header.dtype, "r", there.offset, header.shape, order="F")
        parts = (held[k : k + rows].tobytes() for k in range(0, header.shape[0], rows))
        return _copy(parts, name)


def _copy(parts: Iterator[bytes], what: str) -> Place:
    try:
        with tempfile.TemporaryFile(prefix="vitprobe-") as file:
            file.writelines(parts)
            file.flush()
            return Place(Opened(file), 0)
    except OSError as error:
        raise InputError(
            f"{what} is compressed or stored by columns, and {tempfile.gettempdir()} has no room "
            f"for a copy ({error.strerror or error}): set TMPDIR, or save it with numpy.savez"
        ) from error


def _safetensors(file: BinaryIO, path: Path) -> FeatureFile:
    with safe_open(path, framework="np"):  # checks that each tensor lies in the file
        pass
    length = int.from_bytes(file.read(8), "little")
    found = json.loads(file.read(length))
    arrays, opened = [], Opened(file)
    for name in sorted(found.keys() - {"__metadata__"}, key=_natural):
        about = found[name]
        begin, end = about["data_offsets"]
        place = Place(opened, 8 + length + begin)
        kind = np.dtype(_SAFETENSORS.get(about["dtype"], "V1"))
        shape = tuple(about["shape"])
        digest = sampled(place, end - begin)
        arrays.append(in_file(name, shape, kind, partial(_same, place), digest))
    return FeatureFile(arrays)


def _same(place: Place) -> Place:
    return place


def _natural(name: str) -> list:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _check_end(file: BinaryIO, end: int) -> None:
    size = os.fstat(file.fileno()).st_size
    if end > size:
        raise ValueError(f"it should have {end:,} bytes, and has {size:,}")
