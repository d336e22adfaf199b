"""Every CUDA file compiles alone for every architecture, and no kernel spills a register."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "csrc").rglob("*.cu"))
ARCHITECTURES = ("80", "90a", "100", "120")

ENTRY = re.compile(r"Compiling entry function '(?P<name>\S+)' for 'sm_(?P<arch>\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")

# 64 sums that are all alive at once, for which 32 registers cannot be enough.
SPILLER = """
__global__ void spiller(const float* in, float* out) {
  float sums[64];
#pragma unroll
  for (int i = 0; i < 64; ++i) sums[i] = in[i];
  for (int k = 1; k < 1000; ++k)
#pragma unroll
    for (int i = 0; i < 64; ++i) sums[i] = sums[i] * in[k] + sums[(i + 1) % 64];
#pragma unroll
  for (int i = 0; i < 64; ++i) out[i] = sums[i];
}
"""


def kernels_of(log: str) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(kernel, architecture) -> bytes of stack frame, of spill stores, of spill loads."""
    found = {}
    entry = None
    for line in log.splitlines():
        if match := ENTRY.search(line):
            entry = (match["name"], match["arch"])
        elif (match := FRAME.search(line)) and entry is not None:
            found[entry] = tuple(int(number) for number in match.groups())
            entry = None
    return found


def include_paths() -> list[str]:
    import torch

    torch_include = Path(torch.__file__).parent / "include"
    return [f"-I{ROOT / 'csrc'}", f"-I{torch_include}"]


def compile_alone(nvcc: str, file: Path, folder: Path, architectures=ARCHITECTURES, *options):
    targets = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in architectures]
    command = [nvcc, "-c", "-Xptxas", "-v", *targets, *options, *include_paths(), str(file)]
    output = folder / (file.stem + ".o")
    done = subprocess.run(
        [*command, "-o", str(output)], capture_output=True, text=True, timeout=300
    )
    log = done.stdout + done.stderr
    assert done.returncode == 0, f"{file} does not compile:\n{log}"
    return kernels_of(log)


@pytest.fixture(scope="module")
def known_architectures(nvcc):
    listed = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True).stdout
    missing = [arch for arch in ARCHITECTURES if f"sm_{arch.rstrip('a')}" not in listed.split()]
    if missing:
        pytest.skip(f"{nvcc} does not know sm_{', sm_'.join(missing)}: CUDA 12.8 or later does")


def test_no_kernel_spills(nvcc, known_architectures, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        reports = pool.map(lambda file: compile_alone(nvcc, file, tmp_path), FILES)
        for file, kernels in zip(FILES, reports, strict=True):
            assert {arch for _, arch in kernels} == set(ARCHITECTURES), f"{file}: {kernels}"
            spilling = {entry: sizes for entry, sizes in kernels.items() if any(sizes)}
            assert not spilling, f"{file}: (stack frame, spill stores, spill loads) {spilling}"


def test_the_check_sees_a_spill(nvcc, known_architectures, tmp_path):
    file = tmp_path / "spiller.cu"
    file.write_text(SPILLER)
    kernels = compile_alone(nvcc, file, tmp_path, ("80",), "-maxrregcount=32")
    [(_, stores, loads)] = kernels.values()
    assert stores > 0 and loads > 0


def test_cmake_builds_the_kernels_without_torch(nvcc, known_architectures, cmake_build):
    folder = cmake_build("vitprobe_kernels", f"-DCMAKE_CUDA_COMPILER={nvcc}")
    assert (folder / "libvitprobe_kernels.a").stat().st_size > 0
