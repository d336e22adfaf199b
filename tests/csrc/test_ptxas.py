"""Every CUDA file compiles alone for every architecture, and no kernel spills a register."""

import pytest
from ptxas import ARCHITECTURES, FILES, ROOT, TABLE, compile_alone, table, usages

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


@pytest.fixture
def every_architecture(known_architectures):
    if missing := [arch for arch in ARCHITECTURES if arch not in known_architectures]:
        pytest.skip(f"nvcc does not know sm_{', sm_'.join(missing)}: CUDA 12.8 or later does")


def test_no_kernel_spills(every_architecture, device_build, record_property):
    """CMake compiles each file without torch."""
    found = {}
    steps = (device_build / "log").read_text().split("Building CUDA object ")
    for file in FILES:
        name = f"vitprobe_kernels.dir/{file.relative_to(ROOT)}.o"
        [said] = [step for step in steps if step.split("\n")[0].endswith(name)]
        of_file = usages(said)
        assert {arch for _, arch in of_file} == set(ARCHITECTURES), f"{file}: {of_file}"
        found |= of_file
    record_property(TABLE, table(found))
    spilling = {
        entry: usage
        for entry, usage in found.items()
        if usage.frame or usage.spill_stores or usage.spill_loads
    }
    assert not spilling


def test_the_check_sees_a_spill(nvcc, every_architecture, tmp_path):
    file = tmp_path / "spiller.cu"
    file.write_text(SPILLER)
    [usage] = compile_alone(nvcc, file, ("80",), "-maxrregcount=32").values()
    assert usage.spill_stores > 0 and usage.spill_loads > 0 and usage.registers <= 32


def test_cmake_builds_the_kernels_without_torch(every_architecture, device_build):
    assert (device_build / "libvitprobe_kernels.a").stat().st_size > 0
