"""Files that torch.save or pickle wrote, read as data: nothing in them is imported or called.

A zip archive (torch 1.6 and later), the stream of pickles before that, or one plain pickle.
"""

from __future__ import annotations

import io
import mmap
import os
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from vitprobe.errors import InputError
from vitprobe.files import open_file
from vitprobe.models.reading.calls import CALLS
from vitprobe.models.reading.limits import Refused, Room, set_of
from vitprobe.models.reading.storages import Storages
from vitprobe.models.reading.unpickler import InertUnpickler

RESAVE = "resave it as torch.save(model.state_dict(), FILE)"
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001  # of torch's old format
LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a member of a zip: signature, two lengths
COUNT = struct.Struct("<q")  # elements of a storage, in the old format


class TorchScript(Refused):
    """The file is a program."""


def read_torch_file(path: Path) -> Any:
    """What a file of torch.save or pickle holds, with tensors on the CPU.

    Returns dicts, lists, tuples, sets, text, bytes, numbers, tensors, torch.dtype, numpy arrays of
    numbers and text, argparse.Namespace, and a `Placeholder` for every other object, class or
    function. OrderedDict, defaultdict, Counter and deque, paths, numpy's numbers, torch.Size and
    torch.device are their plain equivalents; a parameter is a tensor without gradient, a storage
    a flat tensor. Tensors that shared memory still share it, and own it: the file may go.

    Raises InputError for a file that is unreadable, damaged, a TorchScript program, or asks for
    more bytes than it has.
    """
    try:
        with open_file(path, "checkpoint") as file:
            return _read(file, os.fstat(file.fileno()).st_size)
    except InputError:
        raise
    except TorchScript as error:
        raise InputError(
            f"checkpoint {path} is a TorchScript program, which is never executed: {RESAVE}"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    except MemoryError as error:
        raise InputError(
            f"cannot read checkpoint {path}: this machine has too little memory for it"
        ) from error
    except Exception as error:  # a damaged file can be wrong in nearly any way
        why = str(error) if isinstance(error, Refused) else type(error).__name__
        raise InputError(
            f"cannot read checkpoint {path}: it is truncated or was not written by torch.save "
            f"({why}); copy it again or {RESAVE}"
        ) from error


def _read(file: BinaryIO, size: int) -> Any:
    room = Room(size)
    if file.read(4) == b"PK\3\4":
        return _read_zip(file, size, room)
    if not size:
        raise Refused("it is empty")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pickles:
        first = plain_pickle(pickles, room)
        if _is(first, MAGIC):
            return _read_old(pickles, file, room)
        if pickles.tell() != size:
            raise Refused("something follows its pickle")
        return first


def plain_pickle(file: BinaryIO, room: Room) -> Any:
    """The object of the pickle at the file's position, as `InertUnpickler.load` reads it; a storage
    in it is a file of the old format."""
    calls = {**CALLS, "torch.storage._load_from_bytes": _storage_of_bytes}
    return InertUnpickler(room, _nothing_outside, calls).load(file)


def _storage_of_bytes(room: Room, args: tuple) -> Any:
    """torch.storage._load_from_bytes: in a plain pickle a storage is a file of the old format."""
    match args:
        case (bytes() as data,):
            file = io.BytesIO(data)
            if _is(InertUnpickler(room, _nothing_outside).load(file), MAGIC):
                return _read_old(file, file, room)
    return None


def _is(held: Any, number: int) -> bool:
    return type(held) is int and held == number


def _nothing_outside(_: Any) -> None:
    raise Refused("its pickle speaks of a storage where there are none")


def _read_zip(file: BinaryIO, size: int, room: Room) -> Any:
    """A zip archive: data.pkl, and a member data/KEY for each storage."""
    members = zipfile.ZipFile(file).infolist()
    folder = members[0].filename.split("/")[0] + "/"
    named = {member.filename.removeprefix(folder): member for member in members}
    if "constants.pkl" in named:
        raise TorchScript("it is a program")
    if "data.pkl" not in named:
        raise Refused("it is a zip archive without data.pkl")

    def bytes_of(name: str) -> Tensor:
        if name not in named:
            raise Refused("a storage is missing")
        return _member(file, size, named[name], room)

    storages = Storages(lambda key, nbytes: bytes_of(f"data/{key}"))
    held = InertUnpickler(room, storages).load(io.BytesIO(bytes_of("data.pkl").numpy()))
    order = bytes_of("byteorder").numpy().tobytes() if "byteorder" in named else b"little"
    storages.swap(order.decode())
    return held


def _member(file: BinaryIO, size: int, member: zipfile.ZipInfo, room: Room) -> Tensor:
    """A member's bytes, uint8 (n,)."""
    offset, nbytes = member.header_offset, member.file_size
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise Refused("it is compressed or encrypted, as torch.save never writes")
    if 0 <= offset <= size - LOCAL_HEADER.size:
        file.seek(offset)
        signature, *lengths = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        start = offset + LOCAL_HEADER.size + sum(lengths)
        if signature == b"PK\3\4" and 0 <= nbytes <= size - start:
            file.seek(start)
            return _fill(file, _empty(room, nbytes))
    raise Refused("a part of it lies outside the file")


def _read_old(pickles: BinaryIO, file: BinaryIO, room: Room) -> Any:
    """The old format, after its magic number: a stream of pickles, then the storages' bytes.

    pickles: where they are read from; file: where bytes are, the same file.
    """
    plain = InertUnpickler(room, _nothing_outside)
    if not _is(plain.load(pickles), VERSION):
        raise Refused("it is of an unknown version")
    plain.load(pickles)  # the machine that wrote it: its byte order is little, whatever it says

    storages = Storages(lambda key, nbytes: _empty(room, nbytes))
    held = InertUnpickler(room, storages).load(pickles)
    keys = plain.load(pickles)
    if type(keys) is not list or set_of(keys) != storages.bytes.keys():
        raise Refused("its list of storages is not of those that it speaks of")
    file.seek(pickles.tell())
    for key in keys:
        (count,) = COUNT.unpack(file.read(COUNT.size))
        if count * storages.dtypes[key].itemsize != storages.bytes[key].numel():
            raise Refused("a storage is not as long as its pickle says")
        _fill(file, storages.bytes[key])
    storages.swap()
    return held


def _empty(room: Room, nbytes: int) -> Tensor:
    """uint8 (n,); raises MemoryError."""
    room.take(nbytes)
    try:
        return torch.empty(nbytes, dtype=torch.uint8)
    except RuntimeError as error:  # as torch says it
        raise MemoryError from error


def _fill(file: BinaryIO, flat: Tensor) -> Tensor:
    """uint8 (n,) with the next n bytes of a file."""
    if flat.numel() and file.readinto(flat.numpy()) != flat.numel():
        raise Refused("a storage is cut off")
    return flat
