"""A device that runs launches as they are made.

Buffers lie in one arena with gaps between them; what the launcher gets as a pointer is an address
in it. An input may not be written; workspace and results start as bytes that nothing wrote.
"""

import re
import shutil
import subprocess
from collections import Counter
from functools import cache

import numpy as np

from ptx import races, text
from ptx.fault import Fault
from ptx.memory import EMPTY, NOWHERE, READ_ONLY, WRITTEN, Memory
from ptx.run import Launch, run
from ptx.translate import Program

GAP = 512  # bytes between buffers, which lie at multiples of it, as torch's allocator has them


class Module:
    """The kernels of one PTX text, each read when it is first launched."""

    def __init__(self, ptx: str, root=None):
        self.files = text.files(ptx, root)
        self.entries = text.entries(ptx)
        self.lines = text.lines(ptx)
        self._programs: dict[str, Program] = {}

    def program(self, name: str) -> Program:
        if name not in self._programs:
            self._programs[name] = Program(
                text.parse(self.entries[name], self.files, self.lines[name])
            )
        return self._programs[name]


class Device:
    def __init__(self, size: int = 1 << 25):
        self.memory = Memory(size)
        self.base = self.memory.data.ctypes.data
        self.used = -self.base % GAP + GAP
        self.accesses: list[races.Access] = []
        self.launches: list[tuple[str, Launch]] = []
        self.entered: dict[str, Counter] = {}  # kernel -> block of its program -> warps

    def buffer(self, size: int, state: int, offset: int = 0) -> int:
        """Address of `size` new bytes, `offset` bytes behind a multiple of GAP."""
        at = self.used + offset
        self.used = at + -(-(size + GAP) // GAP) * GAP - offset
        if self.used > self.memory.size:
            raise MemoryError(f"the device's {self.memory.size} bytes are full")
        self.memory.state[at : at + size] = state
        return self.base + at

    def input(self, array: np.ndarray) -> int:
        """Address of a copy of the array as it lies; its elements may be read, nothing else."""
        return self._filled(array, READ_ONLY)

    def filled(self, array: np.ndarray) -> int:
        """Address of a copy whose elements may be written too."""
        return self._filled(array, WRITTEN)

    def empty(self, size: int) -> int:
        """Address of `size` bytes that nothing has written."""
        return self.buffer(size, EMPTY)

    def _filled(self, array, state):
        low, high = np.lib.array_utils.byte_bounds(array)
        lies = array.ctypes.data
        address = self.buffer(high - low, NOWHERE, low % 16) + lies - low
        at = address - self.base
        for bytes_, values in ((self.memory.data, array[..., None].view(np.uint8)),
                               (self.memory.state, np.uint8(state))):  # fmt: skip
            shape, steps = (*array.shape, array.itemsize), (*array.strides, 1)
            np.lib.stride_tricks.as_strided(bytes_[at:], shape, steps)[...] = values
        return address

    def array(self, address: int, shape, kind) -> np.ndarray:
        """A copy of what lies there; Fault if a byte of it was never written."""
        kind = np.dtype(kind)
        at, size = address - self.base, int(np.prod(shape)) * kind.itemsize
        if (self.memory.state[at : at + size] != WRITTEN).any():
            raise Fault("the result has bytes that no kernel wrote")
        return self.memory.data[at : at + size].view(kind).reshape(shape).copy()

    def launch(self, module: Module, name: str, grid, block, dynamic: int, parameters: bytes):
        """Runs it, then looks for races in global memory."""
        program = module.program(name)
        launch = Launch(grid, block, program.kernel.static_shared + dynamic, parameters)
        self.launches.append((name, launch))
        self.accesses.clear()
        run(program, self, launch, self.entered.setdefault(name, Counter()))
        found = races.find_race(self.accesses, launch.threads)
        if found:
            (first, one), (second, other) = found
            one, other = (program.kernel.instructions[i] for i in (one, other))
            raise Fault(
                f"{other.place}: global memory: nothing orders {other.text} of thread "
                f"{second % launch.threads} of block {second // launch.threads} behind {one.text} "
                f"of thread {first % launch.threads} of block {first // launch.threads} at "
                f"{one.place} ({self.short(name)})"
            )

    def clear(self) -> None:
        """Forgets all buffers."""
        self.memory.state[:] = NOWHERE
        self.used = -self.base % GAP + GAP

    @staticmethod
    def short(name: str) -> str:
        """The kernel's name as the source has it."""
        return demangled(name)


@cache
def demangled(name: str) -> str:
    if not shutil.which("c++filt"):
        return name
    done = subprocess.run(["c++filt", name], capture_output=True, text=True, check=True)
    plain = done.stdout.strip().replace("vitprobe::", "").replace("kernels::", "")
    match = re.match(r"void run_(?:body|warps)<(.*)>\(", plain)
    return match[1] if match else plain
