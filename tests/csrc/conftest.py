"""Builds the host module and the CTest program once per session; a failed build fails the tests."""

import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from nvcc import NO_NVCC, find_nvcc
from ptxas import ARCHITECTURES
from workers import jobs

ROOT = Path(__file__).resolve().parents[2]


def program(name: str) -> str:
    """Its path: from this environment's scripts, else from PATH."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        pytest.fail(f"{name} not found: pip install '.[test]' brings it", pytrace=False)
    return found


def run(*command: str | Path) -> str:
    """What the command printed; fails the test with it unless it exits with 0."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=1800)
    output = done.stdout + done.stderr
    if done.returncode != 0:
        pytest.fail(f"{' '.join(words)}\nexit code {done.returncode}\n{output}", pytrace=False)
    return output


@pytest.fixture(scope="session")
def cmake_build(tmp_path_factory):
    """cmake_build(target, *options) -> folder in which CMakeLists.txt's target has been built; what
    the compilers said is in its file `log`."""

    def build(target: str, *options: str) -> Path:
        folder = tmp_path_factory.mktemp("cmake")
        settings = [
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-DCMAKE_MAKE_PROGRAM={program('ninja')}",
            *options,
        ]
        run(program("cmake"), "-S", ROOT, "-B", folder, "-G", "Ninja", *settings)
        words = ("--build", folder, "--target", target, "--parallel", str(jobs()))
        (folder / "log").write_text(run(program("cmake"), *words))
        return folder

    return build


@pytest.fixture(scope="session")
def host_build(cmake_build) -> Path:
    """The folder with the host module and the CTest program."""
    return cmake_build("all", "-DVITPROBE_KERNELS_CUDA=OFF")


@pytest.fixture(scope="session")
def host(host_build):
    """The module `vitprobe_host`."""
    [path] = host_build.glob("vitprobe_host*" + importlib.machinery.EXTENSION_SUFFIXES[0])
    spec = importlib.util.spec_from_file_location("vitprobe_host", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def ctest(host_build) -> str:
    """What CTest printed, having passed."""
    return run(program("ctest"), "--test-dir", host_build, "--output-on-failure")


@pytest.fixture(scope="session")
def nvcc() -> str:
    """The compiler of the CUDA kernels."""
    return find_nvcc() or pytest.skip(NO_NVCC)


@pytest.fixture(scope="session")
def known_architectures(nvcc) -> list[str]:
    """Those of the kernels that nvcc can compile for."""
    listed = run(nvcc, "--list-gpu-code").split()
    return [arch for arch in ARCHITECTURES if f"sm_{arch.rstrip('a')}" in listed]


@pytest.fixture(scope="session")
def device_build(request, cmake_build) -> Path:
    """The folder with `device_test`: with the kernels where there is an nvcc that knows some of the
    architectures, for these and for the GPU that is here; else the host's side alone."""
    nvcc = find_nvcc()
    targets = nvcc and request.getfixturevalue("known_architectures").copy()
    if not targets:
        return cmake_build("device_test", "-DVITPROBE_KERNELS_CUDA=OFF")
    if torch.cuda.is_available():
        major, minor = torch.cuda.get_device_capability()
        if all(arch.rstrip("a")[:-1] != str(major) for arch in targets):
            targets.append(f"{major}{minor}")
    here = ";".join(f"{arch}-real" for arch in targets)
    options = [f"-DCMAKE_CUDA_COMPILER={nvcc}", f"-DCMAKE_CUDA_ARCHITECTURES={here}"]
    return cmake_build("device_test", *options, "-DCMAKE_CUDA_FLAGS=-Xptxas -v")
