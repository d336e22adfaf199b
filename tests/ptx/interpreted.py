"""The operators of csrc/cuda, launchers and kernels, executed by the interpreter."""

import ctypes
from dataclasses import dataclass

import numpy as np

from ptx.build import Built
from ptx.device import Device, Module

TYPES = {"f32": 0, "f64": 1, "bf16": 2, "f16": 3}
KINDS = {"f32": np.float32, "f64": np.float64, "bf16": np.uint16, "f16": np.uint16}


class _Described(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("type", ctypes.c_int32), ("dim", ctypes.c_int32),
                ("sizes", ctypes.c_int64 * 6), ("strides", ctypes.c_int64 * 6)]  # fmt: skip


class _Argument(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("count", ctypes.c_int32), ("integer", ctypes.c_int64),
                ("number", ctypes.c_double), ("tensors", ctypes.POINTER(_Described))]  # fmt: skip


_ON_LAUNCH = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(ctypes.c_uint), ctypes.POINTER(ctypes.c_uint),
    ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p),
)  # fmt: skip
_ON_EMPTY = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)


@dataclass(frozen=True)
class Tensor:
    """An array on the device; strides in elements. type: one of TYPES."""

    address: int
    type: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Interpreted:
    """`call` runs an operator; errors of kernels are Faults."""

    def __init__(self, built: Built, num_sms: int = 3, size: int = 1 << 25):
        """num_sms: what the launchers are told of the GPU."""
        self.device = Device(size)
        self.modules = [Module(path.read_text(), built.root) for path in built.ptx.values()]
        self._library = ctypes.CDLL(str(built.library))
        self._callbacks = _ON_LAUNCH(self._launch), _ON_EMPTY(self.device.empty)
        self.num_sms = num_sms
        self._error: BaseException | None = None

    def tensor(self, array: np.ndarray, type_: str, write: bool = False) -> Tensor:
        """A copy of a numpy array on the device, as it lies, for reading or (`write`) for both."""
        place = self.device.filled if write else self.device.input
        strides = tuple(step // array.itemsize for step in array.strides)
        return Tensor(place(array), type_, array.shape, strides)

    def array(self, tensor: Tensor) -> np.ndarray:
        """A copy of a dense tensor."""
        return self.device.array(tensor.address, tensor.shape, KINDS[tensor.type])

    def call(self, name: str, *arguments) -> list[Tensor]:
        """The operator's results; arguments: Tensor, list of them, None, bool, int, float."""
        own = (_Argument * len(arguments))(*(_argument(argument) for argument in arguments))
        results, why = (_Described * 4)(), ctypes.create_string_buffer(1000)
        self._library.start(*self._callbacks, self.num_sms)
        self._error = None
        count = self._library.call(name.encode(), own, results, why, ctypes.c_size_t(len(why)))
        if self._error is not None:
            raise self._error
        if count < 0:
            raise RuntimeError(why.value.decode())
        return [_tensor(result) for result in results[:count]]

    def _launch(self, name, grid, block, shared, parameters) -> int:
        try:
            name = name.decode()
            module = next(module for module in self.modules if name in module.entries)
            sizes = module.program(name).kernel.parameters.values()
            bytes_ = bytearray(max(v.offset + v.size for v in sizes))
            for i, variable in enumerate(sizes):
                own = ctypes.string_at(parameters[i], variable.size)
                bytes_[variable.offset : variable.offset + variable.size] = own
            dims = tuple(grid[i] for i in range(3)), tuple(block[i] for i in range(3))
            self.device.launch(module, name, *dims, shared, bytes(bytes_))
        except BaseException as error:  # goes on when the launcher has returned
            self._error = error
            return 1
        return 0


def _argument(value) -> _Argument:
    if value is None:
        return _Argument(0, 0, 0, 0.0, None)
    if isinstance(value, (bool, int)):
        return _Argument(1, 0, int(value), 0.0, None)
    if isinstance(value, float):
        return _Argument(2, 0, 0, value, None)
    tensors = value if isinstance(value, list) else [value]
    described = (_Described * len(tensors))(*map(_describe, tensors))
    return _Argument(3, len(tensors), 0, 0.0, described)


def _describe(tensor: Tensor) -> _Described:
    dims = len(tensor.shape)
    pad = (0,) * (6 - dims)
    return _Described(tensor.address, TYPES[tensor.type], dims, (*tensor.shape, *pad),
                      (*tensor.strides, *pad))  # fmt: skip


def _tensor(made: _Described) -> Tensor:
    name = next(name for name, number in TYPES.items() if number == made.type)
    dims = made.dim
    return Tensor(made.data or 0, name, tuple(made.sizes[:dims]), tuple(made.strides[:dims]))
