"""The machine that numbers come from: a number without it means nothing."""

import datetime
import os
import platform
import subprocess
from pathlib import Path

import torch

import vitprobe
from vitprobe.ops import kernel_status

ROOT = Path(__file__).resolve().parents[1]


def machine() -> dict:
    return {
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "vitprobe": vitprobe.__version__,
        "kernels": kernel_status()["cpu"],
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }


def machine_line(machine: dict) -> str:
    """One line of the above."""
    return (
        "{processor} ({instructions}), {cores} cores, {threads} threads, torch {torch}, vitprobe "
        "{vitprobe} (CPU kernels {kernels}), commit {commit}, {date}"
    ).format(**machine)


def processor() -> str:
    """Its model, as the system calls it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The checkout's commit, marked where code or benchmarks differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        code = ("vitprobe", "csrc", "setup.py", "bench/*.py")
        changed = git("status", "--porcelain", "--", *code)
        return git("rev-parse", "--short=7", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
