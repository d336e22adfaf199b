"""What setup.py decides to build, and what it says; nothing is compiled here."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def decide(tmp_path):
    """Run setup.py as far as its decisions, with torch of some CUDA: (exit code, what it said).

    A variable that is a list: once with each value.
    """

    def run(torch_cuda: str | None, **environment):
        several = {k: v for k, v in environment.items() if isinstance(v, list)} or {"NONE": [""]}
        ((name, values),) = several.items()
        environment = {k: v for k, v in environment.items() if k not in several}
        code = (
            "import os, runpy, sys, torch\n"
            f"torch.version.cuda = {torch_cuda!r}\n"
            "sys.argv = ['setup.py', '--version']\n"
            f"for os.environ[{name!r}] in {values!r}:\n"
            "    print(runpy.run_path('setup.py')['SUMMARY'])\n"
        )
        clean = {k: v for k, v in os.environ.items() if k not in ("CUDA_HOME", "CUDA_PATH")}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=ROOT,
            env=clean | environment,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_torch_without_cuda(decide):
    code, said = decide(None)
    assert code == 0
    assert "but not the CUDA kernels: torch" in said
    assert "has no CUDA" in said


def compiler(path, answer):
    path.write_text(f"#!/bin/sh\ncat > {path}.asked\necho {answer}\n")
    path.chmod(0o755)
    return str(path)


def test_the_cpus_instruction_sets_are_said(decide, tmp_path):
    """As the compiler answers: one that cannot change the set in a file gets the base alone."""
    able = compiler(tmp_path / "able", "1")
    code, said = decide(None, CXX=able)
    assert code == 0
    assert "the CPU kernels (amx_bf16, avx2, avx512, avx512_bf16, base)" in said
    assert "instruction_set.h" in (tmp_path / "able.asked").read_text()
    code, said = decide(None, CXX=compiler(tmp_path / "unable", "0"))
    assert code == 0
    assert "the CPU kernels (base)" in said


@pytest.mark.parametrize("name", ["g++", "clang++"])
def test_both_compilers_know_the_x86_sets(decide, name):
    if shutil.which(name) is None or platform.machine() != "x86_64":
        pytest.skip(f"needs {name} on x86-64")
    assert "avx512_bf16" in decide(None, CXX=name)[1]


def test_asked_for_and_not_to_be_had(decide):
    code, said = decide(None, VITPROBE_CUDA="1")
    assert code != 0
    assert "VITPROBE_CUDA=1, but the CUDA kernels cannot be built: torch" in said


def test_switched_off(decide):
    code, said = decide("13.0", VITPROBE_CUDA="0")
    assert code == 0
    assert "not the CUDA kernels: VITPROBE_CUDA=0" in said


def test_an_unknown_wish(decide):
    code, said = decide("13.0", VITPROBE_CUDA="yes")
    assert code != 0
    assert "VITPROBE_CUDA is 0, 1 or auto, not 'yes'" in said


def test_a_compiler_of_another_major_version_is_named_and_not_used(decide, tmp_path):
    nvcc = tmp_path / "bin" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.write_text("#!/bin/sh\necho Cuda compilation tools, release 12.4, V12.4.99\n")
    nvcc.chmod(0o755)
    code, said = decide("99.0", CUDA_HOME=str(tmp_path))
    assert code == 0
    assert "no nvcc of CUDA 99" in said
    assert f"{nvcc} is CUDA 12.4" in said


NVCC = """#!/bin/sh
case "$*" in
  *--version*) echo "Cuda compilation tools, release 12.8, V12.8.93" ;;
  *--list-gpu-arch*) printf "compute_80\\ncompute_90\\ncompute_120\\n" ;;
esac
"""


@pytest.fixture
def toolkit(tmp_path):
    """A CUDA_HOME whose nvcc says that it is of CUDA 12.8, and compiles anything."""
    nvcc = tmp_path / "bin" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.write_text(NVCC)
    nvcc.chmod(0o755)
    return str(tmp_path)


def test_the_compiler_is_looked_for_where_is_said(decide, toolkit, tmp_path):
    """On the PATH, then where pip puts cuda-toolkit[nvcc]."""
    shutil.copytree(Path(toolkit) / "bin", tmp_path / "site" / "nvidia" / "cu12" / "bin")
    paths = [f"{toolkit}/bin{os.pathsep}{os.defpath}", os.defpath]
    code, said = decide("12.8", PATH=paths, PYTHONPATH=str(tmp_path / "site"))
    assert code == 0, said
    lines = [line for line in said.splitlines() if line.startswith("vitprobe: built")]
    for line, folder in zip(
        lines, (f"{toolkit}/bin", f"{tmp_path}/site/nvidia/cu12/bin"), strict=True
    ):
        assert f"the CUDA kernels by {folder}/nvcc (12.8.93)" in line


def test_architectures_are_read_as_torch_does_and_old_ones_dropped(decide, toolkit):
    expected = {
        "": ("8.0+PTX;9.0a;12.0", ""),
        "8.0;9.0a": ("8.0;9.0a", ""),
        "9.0+PTX": ("9.0+PTX", ""),
        "7.5 8.0 8.6 9.0 10.0 12.0+PTX": ("8.0;8.6;9.0;10.0;12.0+PTX", "7.5"),
        "5.2;7.0+PTX;8.9": ("8.9", "5.2;7.0+PTX"),
        "Turing;Ampere;Hopper": ("8.0;8.6+PTX;9.0+PTX", "7.5+PTX"),
    }
    code, said = decide("12.8", CUDA_HOME=toolkit, TORCH_CUDA_ARCH_LIST=list(expected))
    assert code == 0, said
    lines = [line for line in said.splitlines() if line.startswith("vitprobe: built")]
    for line, (wanted, dropped) in zip(lines, expected.values(), strict=True):
        without = f" (without {dropped}: the kernels need 8.0 or later)" if dropped else ""
        assert line.endswith(f"nvcc (12.8.93) for {wanted}{without}")


def test_only_old_or_unknown_architectures(decide, toolkit):
    expected = {
        "7.5": "has nothing from 8.0 on, which the kernels need",
        "Volta 6.1+PTX": "has nothing from 8.0 on, which the kernels need",
        "8.0;Riva": ": Unknown CUDA arch (Riva)",
    }
    code, said = decide("12.8", CUDA_HOME=toolkit, TORCH_CUDA_ARCH_LIST=list(expected))
    assert code == 0, said
    for given, why in expected.items():
        assert any(
            f"but not the CUDA kernels: TORCH_CUDA_ARCH_LIST={given}" in line and why in line
            for line in said.splitlines()
        ), said


def test_only_old_architectures_where_cuda_is_asked_for(decide, toolkit):
    code, said = decide("12.8", CUDA_HOME=toolkit, TORCH_CUDA_ARCH_LIST="7.5", VITPROBE_CUDA="1")
    assert code != 0
    assert "the CUDA kernels cannot be built: TORCH_CUDA_ARCH_LIST=7.5 has nothing" in said
