"""Every CUDA file compiles alone for every architecture, and no kernel spills a register."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from ptxas import ARCHITECTURES, FILES, compile_alone, table

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


@pytest.fixture(scope="module")
def known_architectures(nvcc):
    listed = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True).stdout
    missing = [arch for arch in ARCHITECTURES if f"sm_{arch.rstrip('a')}" not in listed.split()]
    if missing:
        pytest.skip(f"{nvcc} does not know sm_{', sm_'.join(missing)}: CUDA 12.8 or later does")


def test_no_kernel_spills(nvcc, known_architectures, capsys):
    found = {}
    with ThreadPoolExecutor(2) as pool:
        for file, of_file in zip(
            FILES, pool.map(lambda f: compile_alone(nvcc, f), FILES), strict=True
        ):
            assert {arch for _, arch in of_file} == set(ARCHITECTURES), f"{file}: {of_file}"
            found |= of_file
    with capsys.disabled():
        print(f"\nRegisters of a thread, as ptxas reports them:\n\n{table(found)}\n")
    spilling = {
        entry: usage
        for entry, usage in found.items()
        if usage.frame or usage.spill_stores or usage.spill_loads
    }
    assert not spilling


def test_the_check_sees_a_spill(nvcc, known_architectures, tmp_path):
    file = tmp_path / "spiller.cu"
    file.write_text(SPILLER)
    [usage] = compile_alone(nvcc, file, ("80",), "-maxrregcount=32").values()
    assert usage.spill_stores > 0 and usage.spill_loads > 0 and usage.registers <= 32


def test_cmake_builds_the_kernels_without_torch(nvcc, known_architectures, device_build):
    assert (device_build / "libvitprobe_kernels.a").stat().st_size > 0
