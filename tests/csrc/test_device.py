"""`device_test`, the program for a new GPU: right on the host's side, and it sees what is wrong."""

import re
import subprocess
import sys

import pytest
import torch
from ptx import device_program
from ptx.build import build

OPERATORS = ("gram simple", "gram fast", "group", "center", "hsic simple", "hsic fast")
OPERATORS += ("attention simple", "attention fast", "class row")


@pytest.fixture(scope="module")
def device_test(device_build):
    """device_test(*words) -> (exit code, lines of stdout, stderr)."""

    def run(*words):
        command = [device_build / "device_test", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return run


def test_the_list_has_every_kernel_type_and_path(device_test):
    code, names, _ = device_test("--list")
    assert code == 0 and len(names) == len(set(names))
    for operator in OPERATORS:
        assert any(name.startswith(operator) for name in names), operator
    for math in ("bf16", "f16", "tf32", "3xtf32"):
        for n in (64, 128, 256, 300):
            found = [name for name in names if name.startswith(f"gram fast {math} {n} x ")]
            assert {name.partition(", ")[2] for name in found} == {"aligned", "odd rows", "shifted"}
    for depth in (32, 64, 96, 128):
        assert f"attention fast bf16, T = 50, D = {depth}, bias" in names


def test_the_bodies_on_the_host_are_right(device_test):
    code, lines, _ = device_test("--host")
    _, names, _ = device_test("--list")
    assert code == 0 and lines[-1] == f"0 of {len(names)} failed"
    for name, line in zip(names, lines, strict=False):
        assert re.fullmatch(rf"ok +{re.escape(name)} +error [0-9.e+-]+", line)


def test_every_case_sees_one_wrong_number(device_test):
    """The exit code counts them, up to 76: 77 means that nothing ran."""
    code, lines, _ = device_test("--host", "--spoil")
    *verdicts, last = lines
    assert code == 76 and last == f"{len(verdicts)} of {len(verdicts)} failed"
    assert all(line.startswith("FAIL ") and " > " in line for line in verdicts)
    code, lines, _ = device_test("--host", "--spoil", "--only", "hsic fast")
    assert code == 2 and lines[-1] == "2 of 2 failed"


def test_only_some_and_what_it_does_not_know(device_test):
    assert device_test("--list", "--only", "class row f64")[1] == [
        "class row f64, T = 82, D = 64, bias"
    ]
    for words in (("--only", "no such case"), ("--only",), ("--hosts",)):
        code, lines, error = device_test(*words)
        assert code == 78 and not lines and error.startswith("device_test: ")
        assert len(error.splitlines()) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_is_skipped(device_test):
    code, lines, _ = device_test()
    assert code == 77 and len(lines) == 1 and lines[0].startswith("device_test: no GPU (")


# float64 is left out: the interpreter rounds its fused multiply-adds twice.
INTERPRETED = ["gram simple bf16 65", "center", "hsic simple f32", "hsic fast", "class row f32"]
INTERPRETED += [
    "gram fast bf16 64 x 136",
    "gram fast 3xtf32 64 x 203",
    "attention fast f16, T = 50, D = 32",
]


@pytest.fixture(scope="module")
def interpreted(nvcc, device_build, request, tmp_path_factory):
    """The same program, its kernels executed from their PTX."""
    folder = tmp_path_factory.mktemp("device")
    cache = getattr(request.config, "cache", None)
    built = build(nvcc, cache.mkdir("ptx") if cache else folder)
    host = sorted(device_build.glob("CMakeFiles/device_test_host.dir/**/*.o"))
    program = device_program.link_program(nvcc, built, host, folder / "program.so")

    def run(*words):
        command = [sys.executable, device_program.__file__, built.library, program, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return run


@pytest.mark.parametrize("only", INTERPRETED)
def test_its_gpu_side_on_the_interpreter(interpreted, only):
    """What it launches, brings and reads is right, and what must have the host's bits has them."""
    code, (device, *lines, last), error = interpreted("--small", "--only", only)
    assert code == 0 and lines and last == f"0 of {len(lines)} failed", (lines, error)
    assert device == "the interpreter, sm_80"
    for line in lines:
        same = line.startswith(("ok   hsic", "ok   gram simple"))
        assert line.endswith("(the same bits)") or not same, line


def test_the_gpu_side_sees_one_wrong_number(interpreted):
    code, lines, error = interpreted("--small", "--spoil", "--only", "center unbiased")
    assert code == 3 and all(line.startswith("FAIL") for line in lines[1:-1]), (lines, error)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_on_a_gpu(device_test):
    code, lines, _ = device_test()
    assert code == 0, "\n".join(lines)
