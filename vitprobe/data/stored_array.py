"""One array of activations, in a file or in memory, that gives some of its rows at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from vitprobe.errors import InputError

BFLOAT16 = np.dtype("V2")  # numpy has no such type, and writes that of others so
SAMPLES, SAMPLE = 64, 4096  # places of an array, and bytes at each, that its digest is made of

_FLOATS = {2: torch.float16, 4: torch.float32, 8: torch.float64}
_KINDS = {"U": "text", "S": "text", "c": "complex numbers", "M": "dates", "m": "times"}


@dataclass(frozen=True)
class StoredArray:
    """Activations of a layer, (n, ...): the examples first.

    name: of the layer. shape: of the whole array. dtype: of what `rows` gives. rows: numbers of
    examples -> (b, ...) on the CPU, in memory of its own. digest: of the numbers, for all of them
    or of a sample. reason: why it can be no layer, or "".
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype | None
    rows: Callable[[Sequence[int]], Tensor]
    digest: str
    reason: str = ""

    @property
    def nbytes(self) -> int:
        """Of all rows, as `rows` gives them."""
        return math.prod(self.shape) * (self.dtype.itemsize if self.dtype else 0)


class Opened:
    """A file that stays open as long as anybody holds this."""

    def __init__(self, file: BinaryIO):
        self.number = os.dup(file.fileno())

    def __del__(self) -> None:
        os.close(self.number)

    def file(self) -> BinaryIO:
        """For reading from its first byte; to be closed."""
        file = os.fdopen(os.dup(self.number), "rb")
        file.seek(0)
        return file


@dataclass(frozen=True)
class Place:
    """Where an array lies in a file, row after row: from which byte on."""

    opened: Opened
    offset: int


def float_type(kind: np.dtype) -> torch.dtype | str:
    """What numbers of this type are computed in: floating-point ones as they are, integers in the
    shortest type that holds them (of 64 bits: float64); or why they cannot be a layer's."""
    if kind == BFLOAT16:
        return torch.bfloat16
    if kind.hasobject:
        return "it holds Python objects, which are never loaded"
    if kind.kind in "biu":
        return torch.float32 if kind.itemsize <= 2 else torch.float64
    if kind.kind == "f" and kind.itemsize in _FLOATS:
        return _FLOATS[kind.itemsize]
    return f"it holds {_KINDS.get(kind.kind, f'numbers of the type {kind}')}"


def why_no_layer(shape: Sequence[int]) -> str:
    """Why an array of this shape can be no layer, or ""."""
    if len(shape) < 2:
        what = "one number for each example" if shape else "a single number"
        return f"it has {what}: a layer is (examples, features), or more axes"
    return "" if math.prod(shape[1:]) else f"it has no features: its shape is {tuple(shape)}"


def in_memory(name: str, array: Tensor | np.ndarray) -> StoredArray:
    """An array that is there already."""
    shape = tuple(array.shape)
    if not isinstance(array, Tensor):
        dtype = float_type(array.dtype)
    elif array.is_floating_point():
        dtype = array.dtype
    elif array.is_complex():
        dtype = "it holds complex numbers"
    else:
        dtype = float_type(np.dtype(f"i{array.dtype.itemsize}"))
    reason = dtype if isinstance(dtype, str) else why_no_layer(shape)
    if reason:
        return StoredArray(name, shape, None, _never, "", reason)

    def rows(index: Sequence[int]) -> Tensor:
        if isinstance(array, Tensor):
            return array.detach()[torch.as_tensor(index, device=array.device)].to("cpu", dtype)
        return torch.from_numpy(_native(array[np.asarray(index)])).to(dtype)

    some = rows(range(0, shape[0], max(1, shape[0] // SAMPLES))).flatten(1)[:, :SAMPLE]
    digest = sha256(some.contiguous().view(torch.uint8).numpy()).hexdigest()
    return StoredArray(name, shape, dtype, rows, digest)


def in_file(
    name: str, shape: tuple[int, ...], kind: np.dtype, place: Callable[[], Place], digest: str
) -> StoredArray:
    """An array of a file, of whose rows only those that are asked for are read.

    kind: the type that is stored. place: where it lies; called when the first rows are read.
    """
    dtype = float_type(kind)
    reason = dtype if isinstance(dtype, str) else why_no_layer(shape)
    if reason:
        return StoredArray(name, shape, None, _never, "", reason)
    size = math.prod(shape[1:]) * kind.itemsize
    there: list[Place] = []

    def rows(index: Sequence[int]) -> Tensor:
        if not there:
            there.append(place())
        code = np.dtype("<i2") if kind == BFLOAT16 else kind
        found = np.empty((len(index), *shape[1:]), code)
        _fill(found.reshape(-1).view(np.uint8), there[0], size, index, name)
        x = torch.from_numpy(_native(found))
        return x.view(torch.bfloat16) if kind == BFLOAT16 else x.to(dtype)

    return StoredArray(name, shape, dtype, rows, digest)


def sampled(place: Place, nbytes: int) -> str:
    """SHA-256 of what lies there, of a sample of it where it is long, in hex."""
    starts = {round(k * max(0, nbytes - SAMPLE) / (SAMPLES - 1)) for k in range(SAMPLES)}
    digest = sha256()
    for start in sorted(starts):
        count = min(SAMPLE, nbytes - start)
        digest.update(os.pread(place.opened.number, count, place.offset + start))
    return digest.hexdigest()


def _fill(held: np.ndarray, place: Place, size: int, index: Sequence[int], name: str) -> None:
    """uint8 with the rows of `index`, one after the other; size: bytes of a row.

    Read, not mapped: pages of a mapped file count as the process's memory, and one that shrinks
    would end it.
    """
    bytes_held = memoryview(held)
    for place_held, first, count in _runs(index):
        part = bytes_held[place_held * size : (place_held + count) * size]
        at = place.offset + first * size
        while len(part):
            read = os.preadv(place.opened.number, [part], at)
            if not read:
                raise InputError(f"layer {name!r} is cut off: its file became shorter")
            part, at = part[read:], at + read


def _runs(index: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(place in the index, first row, count) of rows that follow each other in both, in the order
    of the file."""
    order = sorted(range(len(index)), key=index.__getitem__)
    start = 0
    for k in range(1, len(order) + 1):
        before = order[k - 1]
        follows = k < len(order) and order[k] == before + 1 and index[order[k]] == index[before] + 1
        if not follows:
            yield order[start], index[order[start]], k - start
            start = k


def _native(array: np.ndarray) -> np.ndarray:
    """In the machine's byte order, in types that torch has."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    wider = {"uint16": np.int32, "uint32": np.int64, "uint64": np.float64}.get(array.dtype.name)
    return array if wider is None else array.astype(wider)


def _never(index: Sequence[int]) -> Tensor:
    raise AssertionError("rows of what is no layer")
