"""device_test (tests/csrc/device_test) whose GPU is the interpreter.

python tests/ptx/device_program.py LAUNCHERS PROGRAM [device_test's own words]
    as `build` and `link_program` made them
"""

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ptx.build import CSRC, ROOT, STANDIN, Built  # noqa: E402
from ptx.interpreted import Interpreted  # noqa: E402
from ptx.memory import WRITTEN  # noqa: E402

SOURCES = ROOT / "tests" / "csrc" / "device_test"
_ON_COPY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_ON_FREE = ctypes.CFUNCTYPE(None)


def link_program(nvcc: str, built: Built, host: list[Path], out: Path) -> Path:
    """The program as a library; its launches are those of `built`, `host` the objects of all but
    device.cu.

    Raises:
        ValueError: it does not compile; the message holds what the compiler said.
    """
    # -O2: without it nvcc keeps calls of its own runtime that nothing makes.
    words = ["-std=c++20", "-O2", "-shared", "-cudart", "none", "-Xcompiler", "-fPIC"]
    words += [f"-I{folder}" for folder in (CSRC, STANDIN, built.library.parent / "include")]
    files = [SOURCES / "device.cu", STANDIN / "memory.cpp", *host]
    command = [str(word) for word in (nvcc, *words, *files, "-o", out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise ValueError(done.stdout + done.stderr)
    return out


def main() -> int:
    launchers, program, *words = sys.argv[1:]
    ctypes.CDLL(launchers, ctypes.RTLD_GLOBAL)  # the launch functions and CUDA's runtime
    ptx = {path.as_posix(): path for path in Path(launchers).parent.rglob("*.ptx")}
    gpu = Interpreted(Built(Path(launchers), ptx, CSRC), size=1 << 27)
    gpu._library.start(*gpu._callbacks, gpu.num_sms)
    memory = gpu.device.memory

    def copy(to, source, size, read):
        if not read:
            at = to - gpu.device.base
            memory.data[at : at + size] = np.frombuffer(ctypes.string_at(source, size), np.uint8)
            memory.state[at : at + size] = WRITTEN
            return
        ctypes.memmove(to, gpu.device.array(source, (size,), np.uint8).tobytes(), size)

    callbacks = _ON_COPY(copy), _ON_FREE(gpu.device.clear)
    library = ctypes.CDLL(program)
    library.keep_memory(*callbacks)
    own = [b"device_test", *(word.encode() for word in words), None]
    code = library.main(len(words) + 1, (ctypes.c_char_p * len(own))(*own))
    if gpu._error is not None:
        raise gpu._error
    return code


if __name__ == "__main__":
    sys.exit(main())
