"""numpy's numbers, text and arrays as a file describes them.

Arrays of objects, records and dates are left as placeholders.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from vitprobe.models.reading.limits import Refused, Room
from vitprobe.models.reading.placeholder import Placeholder

CODE = re.compile(r"[biufcSU]\d{1,9}|[?bBhHiIlLqQefdgFDG]")  # of a dtype of numbers or text
AXES = 32  # of an array, as in numpy 1
LARGEST = 2**63 - 1
LAST_CHARACTER = 0x10FFFF


def array_of_state(room: Room, held: Placeholder, state: Any) -> np.ndarray | None:
    """What `held`, an array without content, becomes with this state; None if it is none."""
    if held.name not in RECONSTRUCT:
        return None
    match state:
        case (int(), tuple() as shape, Placeholder() as dtype, fortran, data):
            return _array(room, data, dtype, shape, "F" if fortran is True else "C")
    return None


def scalar(room: Room, args: tuple) -> Any:
    """numpy's numbers as Python's; numpy.str_ and numpy.bytes_ as str and bytes."""
    match args:
        case (Placeholder() as dtype, data):
            array = _array(room, data, dtype, ())
            if array is None:
                return None
            wide = {"f": float, "c": complex}.get(array.dtype.kind)  # longdouble's item is itself
            return wide(array) if wide else array.item()
    return None


def from_buffer(room: Room, args: tuple) -> np.ndarray | None:
    """numpy._core.numeric._frombuffer, which protocol 5 writes for an array."""
    match args:
        case (data, Placeholder() as dtype, tuple() as shape, str() as order):
            return _array(room, data, dtype, shape, "F" if order == "F" else "C")
        case (data, Placeholder() as dtype, tuple() as shape, str(), tuple() as axes):
            array = _array(room, data, dtype, shape)
            if array is not None and sorted(axes) != list(range(array.ndim)):
                raise Refused("a numpy array has axes that are none")
            return array if array is None else array.transpose(axes)
    return None


def _array(
    room: Room, data: Any, dtype: Placeholder, shape: tuple, order: str = "C"
) -> np.ndarray | None:
    """An array of its own memory and native byte order; None if it is not of numbers or text."""
    kind = _dtype(dtype)
    if isinstance(data, str):  # as Python 2 wrote bytes
        room.take(len(data))
        data = data.encode("latin-1")
    if kind is None or not isinstance(data, bytes):
        return None
    if len(shape) > AXES or not all(type(n) is int and 0 <= n <= LARGEST for n in shape):
        raise Refused("a numpy array has a shape that is none")
    if not kind.itemsize or math.prod(shape) * kind.itemsize != len(data):
        raise Refused("a numpy array and its bytes differ in size")
    room.take(len(data))
    array = np.ndarray(shape, kind, data, order=order).astype(kind.newbyteorder("="))
    if kind.kind == "U" and data:
        codes = np.frombuffer(data, np.dtype(np.uint32).newbyteorder(kind.byteorder))
        if codes.max() > LAST_CHARACTER:
            raise Refused("a numpy array of text holds what is no text")
    return array


def _dtype(held: Placeholder) -> np.dtype | None:
    if held.name != "numpy.dtype":
        return None
    match held.args:
        case (str() as code, *_) if CODE.fullmatch(code):
            try:
                dtype = np.dtype(code)
            except (TypeError, ValueError):
                return None
            match held.state:
                case (_, str() as order, *_) if order in ("<", ">"):
                    return dtype.newbyteorder(order)
            return dtype
    return None


# numpy 1 and numpy 2 write different names for the same functions.
RECONSTRUCT = {f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")}
NUMPY_CALLS = {
    f"numpy.{core}.{name}": function
    for core in ("core", "_core")
    for name, function in {"multiarray.scalar": scalar, "numeric._frombuffer": from_buffer}.items()
}
