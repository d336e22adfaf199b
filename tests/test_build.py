"""What setup.py decides to build, and what it says; nothing is compiled here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def decide(tmp_path):
    """Run setup.py as far as its decisions, with torch of some CUDA: (exit code, what it said)."""

    def run(torch_cuda: str | None, **environment):
        code = (
            "import runpy, sys, torch\n"
            f"torch.version.cuda = {torch_cuda!r}\n"
            "sys.argv = ['setup.py', '--version']\n"
            "print(runpy.run_path('setup.py')['SUMMARY'])\n"
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
