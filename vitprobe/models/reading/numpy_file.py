"""Small .npy and .npz files read as data: nothing in them is imported or called."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vitprobe.data.npz import check_member, npy_header
from vitprobe.errors import InputError
from vitprobe.files import open_file
from vitprobe.models.reading.limits import Refused, Room
from vitprobe.models.reading.numpy_calls import RECONSTRUCT
from vitprobe.models.reading.placeholder import Placeholder
from vitprobe.models.reading.torch_file import plain_pickle
from vitprobe.text import printable

MOST = 1 << 28  # bytes of a file


def read_numpy_file(path: str | Path, what: str) -> Any:
    """What numpy.save or numpy.savez wrote: an array; the one object that was saved in the place of
    an array (`numpy.save(path, {...})`), as `read_torch_file` reads it; of a .npz file a dict.

    what: the file is called so in errors. Raises InputError for a file that is missing, too large,
    damaged, or asks for more bytes than it has.
    """
    with open_file(path, what, MOST) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of headers that Python 2 wrote
        try:
            size = os.fstat(file.fileno()).st_size
            if file.read(6) == np.lib.format.MAGIC_PREFIX:
                file.seek(0)
                return _array(io.BytesIO(file.read()), Room(size))
            return _members(file, size)
        except Exception as error:  # a damaged file can be wrong in nearly any way
            why = str(error) if isinstance(error, (Refused, InputError)) else type(error).__name__
            raise InputError(
                f"{what} {printable(path)} cannot be read: it is truncated, or was not written by "
                f"numpy ({why})"
            ) from error


def _members(file: BinaryIO, size: int) -> dict[str, Any]:
    room, found = Room(size), {}
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as opened:
                header = npy_header(opened)
            if not header.dtype.hasobject:  # a pickle is as long as it is
                check_member(member, header, size, member.filename)
            if member.file_size > MOST:
                raise Refused("it expands too far")
            held = io.BytesIO(archive.read(member))
            found[member.filename.removesuffix(".npy")] = _array(held, room)
    return found


def _array(file: io.BytesIO, room: Room) -> Any:
    header = npy_header(file)
    if not header.dtype.hasobject:
        if header.offset + header.nbytes > file.getbuffer().nbytes:
            raise Refused("its array is cut off")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    held = plain_pickle(file, room)
    match held:
        case Placeholder(name=name, state=(_, (), _, _, [only])) if name in RECONSTRUCT:
            return only
    return held
