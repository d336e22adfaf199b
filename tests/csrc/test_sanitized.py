"""The CPU kernels over odd shapes, under the address and undefined-behaviour sanitizers."""

import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
PROGRAM = Path(__file__).parent / "sanitized"
AMX_MODEL = Path(__file__).parent / "amx" / "kernel.cpp"  # AMX's instructions in software
SETS = {"base", "avx2", "avx512", "avx512_bf16", "amx_bf16"}
FLAGS = ("-std=c++17", "-O1", "-g1", "-fopenmp-simd", "-Wall", "-Wextra", "-Wno-psabi")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture
def run_sanitized(tmp_path):
    """run_sanitized(folder of the kernels) -> how the program ended."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++, by which the kernels are built for several instruction sets")

    def run(csrc: Path) -> subprocess.CompletedProcess:
        kernels = [p for op in ("product", "attention") for p in (csrc / "cpu" / op).glob("*.cpp")]
        kernels = [p for p in kernels if p.stem != "launcher"]
        assert {p.stem for p in kernels} == SETS
        sources = [PROGRAM / "cpu_kernels.cpp", AMX_MODEL, *kernels]
        folders = (f"-I{PROGRAM}", f"-I{csrc}")
        words = [compiler, *FLAGS, *SANITIZERS, *folders, *sources, "-o", tmp_path / "program"]
        built = subprocess.run(words, capture_output=True, text=True, timeout=600)
        assert built.returncode == 0, built.stderr
        return subprocess.run([tmp_path / "program"], capture_output=True, text=True, timeout=600)

    return run


@pytest.mark.slow
def test_no_element_too_far_and_no_undefined_behaviour(run_sanitized):
    ended = run_sanitized(CSRC)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert int(ended.stdout.split()[0]) > 40_000 and "numbers are right" in ended.stdout


@pytest.mark.slow
def test_a_vector_read_past_the_end_is_found(run_sanitized, tmp_path):
    shutil.copytree(CSRC, tmp_path / "csrc")
    header = tmp_path / "csrc" / "cpu" / "vector" / "vectors.h"
    rest = "\n  return load(buffer)"
    right, wrong = f"count * sizeof(In));{rest}", f"sizeof buffer);{rest}"
    text = header.read_text()
    assert text.count(right) == 1
    header.write_text(text.replace(right, wrong))
    ended = run_sanitized(tmp_path / "csrc")
    assert ended.returncode != 0 and "AddressSanitizer" in ended.stderr
