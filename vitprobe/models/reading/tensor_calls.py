"""Tensors as a file describes them, checked against what their storages hold.

A storage is a flat tensor here. Its dtype is that of the storage's class; of an untyped one, uint8.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from vitprobe.models.reading.limits import Refused, Room
from vitprobe.models.reading.placeholder import Placeholder

DTYPES = {
    f"torch.{name}": dtype for name, dtype in vars(torch).items() if isinstance(dtype, torch.dtype)
}
STORAGES = {
    "UntypedStorage": torch.uint8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    # the numbers behind quantised tensors, which stay placeholders
    "QInt32Storage": torch.int32,
    "QInt8Storage": torch.int8,
    "QUInt8Storage": torch.uint8,
    "QUInt4x2Storage": torch.uint8,
    "QUInt2x4Storage": torch.uint8,
}
OBJECT = 100  # bytes that a tensor costs beside its storage: torch writes more than 25 for each
AXES = 64  # of a tensor, as of torch's own operations
LARGEST = 2**63 - 1


def storage_dtype(kind: Any) -> torch.dtype:
    """The dtype of a storage's class, whatever device it is of (torch.cuda.FloatStorage)."""
    name = kind.name.rpartition(".")[2] if type(kind) is Placeholder else None
    if name not in STORAGES:
        raise Refused("it has a storage of an unknown kind")
    return STORAGES[name]


def view(
    room: Room, flat: Tensor, offset: int, size: tuple, stride: tuple, metadata: Any = None
) -> Tensor:
    """A strided view of a storage, of which nothing is copied.

    An expanded tensor (stride 0) may have far more elements than its storage. Raises Refused where
    an element would lie outside the storage or torch could not count the bytes.
    """
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > AXES:
        raise Refused("a tensor has a shape and strides that don't go together")
    if not all(type(number) is int and 0 <= number <= LARGEST for number in numbers):
        raise Refused("a tensor has a shape or strides that are no sizes")
    if math.prod(max(length, 1) for length in size) * flat.itemsize > LARGEST:
        raise Refused("a tensor has more elements than can be")
    room.take(OBJECT)
    if 0 in size:
        return flat.new_empty(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= flat.numel():
        raise Refused("a tensor reaches past the end of its storage")
    # not as_strided, whose result would count as a view of `flat` in autograd
    tensor = flat.new_empty(0).set_(
        flat.untyped_storage(), flat.storage_offset() + offset, size, stride
    )
    if type(metadata) is dict:  # what is applied to the elements when they are read
        if metadata.get("conj") is True and tensor.is_complex():
            tensor = tensor.conj()
        if metadata.get("neg") is True and (tensor.is_complex() or tensor.is_floating_point()):
            tensor = torch._neg_view(tensor)
    return tensor


def rebuild_tensor(room: Room, args: tuple) -> Tensor | None:
    """torch._utils._rebuild_tensor and _v2: the storage says the dtype."""
    match args:
        case (Tensor() as flat, int() as offset, tuple() as size, tuple() as stride, *rest):
            return view(room, _storage(flat), offset, size, stride, *rest[2:3])
    return None


def rebuild_tensor_v3(room: Room, args: tuple) -> Tensor | None:
    """torch._utils._rebuild_tensor_v3: bytes, and a dtype that no storage class is of."""
    match args:
        case (
            Tensor() as flat,
            int() as offset,
            tuple() as size,
            tuple() as stride,
            _,
            _,
            torch.dtype() as dtype,
            *rest,
        ):
            return view(room, as_dtype(_storage(flat), dtype), offset, size, stride, *rest[:1])
    return None


def rebuild_parameter(room: Room, args: tuple) -> Tensor | None:
    """torch._utils._rebuild_parameter, _with_state; Parameter and Variable of old files."""
    return args[0] if args and isinstance(args[0], Tensor) else None


def rebuild_subclass(room: Room, args: tuple) -> Tensor | None:
    """torch._tensor._rebuild_from_type, _v2: the plain tensor within a subclass's."""
    match args:
        case (Placeholder(args=None) as function, Placeholder(), tuple() as inner, *_):
            rebuild = REBUILD.get(function.name)
            return rebuild(room, inner) if rebuild else None
    return None


def as_dtype(flat: Tensor, dtype: torch.dtype) -> Tensor:
    """A storage's bytes as elements, as many as are whole. flat: of one-byte elements."""
    length = dtype.itemsize
    if flat.itemsize != 1 or flat.storage_offset() % length or not _is_plain(dtype):
        raise Refused("a tensor and its storage don't go together")
    return flat[: flat.numel() // length * length].view(dtype)


def _storage(flat: Tensor) -> Tensor:
    if flat.ndim != 1 or not flat.is_contiguous():
        raise Refused("a tensor is made of what is no storage")
    return flat


def _is_plain(dtype: torch.dtype) -> bool:
    return dtype not in (torch.quint8, torch.qint8, torch.qint32, torch.quint4x2, torch.quint2x4)


REBUILD = {
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": rebuild_parameter,
    "torch.nn.parameter.Parameter": rebuild_parameter,
    "torch.nn.parameter.Buffer": rebuild_parameter,
    "torch.autograd.variable.Variable": rebuild_parameter,
}
TENSOR_CALLS = REBUILD | {
    "torch._tensor._rebuild_from_type": rebuild_subclass,
    "torch._tensor._rebuild_from_type_v2": rebuild_subclass,
    "torch.tensor._rebuild_from_type": rebuild_subclass,
    "torch.tensor._rebuild_from_type_v2": rebuild_subclass,
}
