"""device_test (tests/csrc/device_test) whose GPU is the interpreter.

python tests/ptx/device_program.py LAUNCHERS PROGRAM [device_test's own words]
    both as `build` and `compile_program` made them
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
_FILES = ("main.cpp", "cases.cpp", "reference.cpp", "host_gram.cpp", "host_attention.cpp")
_OWN_MAIN = "device_test_main"
_ON_COPY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_ON_FREE = ctypes.CFUNCTYPE(None)


def compile_program(nvcc: str, built: Built, out: Path) -> Path:
    """The program as a library; its launches are those of `built`.

    Raises:
        ValueError: it does not compile; the message holds what the compiler said.
    """
    include = built.library.parent / "include"
    words = ["-std=c++20", "-shared", "-cudart", "none", "-O2", f"-Dmain={_OWN_MAIN}"]
    words += ["-Xcompiler", "-fPIC,-mfma,-ffp-contract=fast", f"-I{CSRC}", f"-I{STANDIN}"]
    files = [*(SOURCES / name for name in _FILES), SOURCES / "device.cu", STANDIN / "memory.cpp"]
    command = [nvcc, *words, f"-I{include}", *files, "-o", out]
    done = subprocess.run([str(w) for w in command], capture_output=True, text=True, timeout=600)
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
    start = next(s for s in (f"_Z16{_OWN_MAIN}iPPc",) if hasattr(library, s))
    code = getattr(library, start)(len(words) + 1, (ctypes.c_char_p * len(own))(*own))
    if gpu._error is not None:
        raise gpu._error
    return code


if __name__ == "__main__":
    sys.exit(main())
