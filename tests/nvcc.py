"""Where nvcc is: what compiles the CUDA kernels in tests, with or without a GPU."""

import os
import shutil
import sysconfig
from pathlib import Path


def find_nvcc() -> str | None:
    """CUDA_HOME's compiler, else PATH's, else the one that the PyPI package brings."""
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
    packaged = sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/cu*"), reverse=True)
    folders = [str(Path(home) / "bin") for home in homes]
    folders += [os.environ.get("PATH", ""), *(str(home / "bin") for home in packaged)]
    return shutil.which("nvcc", path=os.pathsep.join(folders))


NO_NVCC = "no nvcc in CUDA_HOME, PATH or this environment's packages"
