"""Builds the host module and the CTest program once per session; a failed build fails the tests."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tool(name: str) -> str:
    """The program's path: from this environment's scripts, else from PATH."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        pytest.fail(f"{name} not found: pip install '.[test]' brings it", pytrace=False)
    return found


def run(*command: str) -> str:
    """What the command printed; fails the test with it unless it exits with 0."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    output = done.stdout + done.stderr
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)}\nexit code {done.returncode}\n{output}", pytrace=False)
    return output


def configure(build: Path, *options: str) -> None:
    """Configures the repository's CMakeLists.txt with this interpreter and its ninja."""
    settings = (f"-DPython_EXECUTABLE={sys.executable}", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}")
    run(tool("cmake"), "-S", str(ROOT), "-B", str(build), "-G", "Ninja", *settings, *options)


@pytest.fixture(scope="session")
def host_build(tmp_path_factory) -> Path:
    """The build folder of CMakeLists.txt without CUDA."""
    build = tmp_path_factory.mktemp("cmake")
    configure(build, "-DVITPROBE_KERNELS_CUDA=OFF")
    run(tool("cmake"), "--build", str(build))
    return build


@pytest.fixture(scope="session")
def host(host_build):
    """The module `vitprobe_host`."""
    [path] = host_build.glob("vitprobe_host*" + importlib.machinery.EXTENSION_SUFFIXES[-1])
    spec = importlib.util.spec_from_file_location("vitprobe_host", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def find_nvcc() -> str | None:
    """CUDA_HOME's nvcc, else PATH's, else the one that the PyPI package brings."""
    homes = [Path(os.environ[name]) for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
    packaged = sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/cu*"), reverse=True)
    for folder in [*homes, None, *packaged]:
        found = shutil.which("nvcc", path=None if folder is None else str(folder / "bin"))
        if found is not None:
            return found
    return None


@pytest.fixture(scope="session")
def nvcc() -> str:
    """A CUDA compiler; without one the test is skipped."""
    found = find_nvcc()
    if found is None:
        pytest.skip("no nvcc in CUDA_HOME, PATH or this environment's packages")
    return found
