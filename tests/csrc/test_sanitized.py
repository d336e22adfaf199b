"""The CPU kernels over odd shapes, under the address and undefined-behaviour sanitizers."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from workers import jobs

CSRC = Path(__file__).resolve().parents[2] / "csrc"
PROGRAM = Path(__file__).parent / "sanitized"
AMX_MODEL = Path(__file__).parent / "amx" / "kernel.cpp"  # AMX's instructions in software
SETS = {"base", "avx2", "avx512", "avx512_bf16", "amx_bf16"}
FLAGS = ("-std=c++17", "-O1", "-g1", "-fopenmp-simd", "-Wall", "-Wextra", "-Wno-psabi")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def sources(csrc: Path) -> dict[str, Path]:
    """Of the kernels, by operator and instruction set, and of the program."""
    kernels = [p for op in ("product", "attention") for p in (csrc / "cpu" / op).glob("*.cpp")]
    kernels = {f"{p.parent.name}-{p.stem}": p for p in kernels if p.stem != "launcher"}
    assert {name.partition("-")[2] for name in kernels} == SETS
    return kernels | {"program": PROGRAM / "cpu_kernels.cpp", "model": AMX_MODEL}


def compiled(csrc: Path, folder: Path, *names: str) -> dict[str, Path]:
    """The sources of these names (all), with the headers of this csrc: name -> object."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++, by which the kernels are built for several instruction sets")
    words = [compiler, *FLAGS, *SANITIZERS, f"-I{PROGRAM}", f"-I{csrc}", "-c"]

    def compile_one(name: str, path: Path) -> Path:
        run(*words, path, "-o", folder / f"{name}.o")
        return folder / f"{name}.o"

    chosen = {name: path for name, path in sources(csrc).items() if name in names or not names}
    with ThreadPoolExecutor(jobs()) as pool:
        return dict(zip(chosen, pool.map(compile_one, chosen, chosen.values()), strict=True))


def run_program(objects: dict[str, Path], folder: Path) -> subprocess.CompletedProcess:
    """How it ended."""
    run("g++", *SANITIZERS, *objects.values(), "-o", folder / "program")
    return subprocess.run([folder / "program"], capture_output=True, text=True, timeout=600)


def run(*words) -> None:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    return compiled(CSRC, tmp_path_factory.mktemp("sanitized"))


def test_no_element_too_far_and_no_undefined_behaviour(objects, tmp_path):
    ended = run_program(objects, tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert int(ended.stdout.split()[0]) > 40_000 and "numbers are right" in ended.stdout


def test_a_vector_read_past_the_end_is_found(objects, tmp_path):
    """In the kernels of the base alone: the others' objects are those of the other test."""
    shutil.copytree(CSRC, tmp_path / "csrc")
    header = tmp_path / "csrc" / "cpu" / "vector" / "vectors.h"
    rest = "\n  return load(buffer)"
    right, wrong = f"count * sizeof(In));{rest}", f"sizeof buffer);{rest}"
    text = header.read_text()
    assert text.count(right) == 1
    header.write_text(text.replace(right, wrong))
    spoilt = compiled(tmp_path / "csrc", tmp_path, "product-base", "attention-base")
    ended = run_program(spoilt | {k: v for k, v in objects.items() if k not in spoilt}, tmp_path)
    assert ended.returncode != 0 and "AddressSanitizer" in ended.stderr
