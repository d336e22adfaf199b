"""What is measured: the GPU, its driver, torch, and exactly which source."""

import hashlib
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def work(section) -> None:
    """Notes about the device; in a process of its own, so that the caller holds no GPU."""
    import torch

    section.note(
        torch=torch.__version__,
        torch_cuda=torch.version.cuda,
        python=platform.python_version(),
        processor_cores=os.cpu_count(),
    )
    if section.dry_run:
        section.note(device="cpu", architecture=None)
        return
    properties = torch.cuda.get_device_properties(0)
    major, minor = properties.major, properties.minor
    section.note(
        device=properties.name,
        architecture=f"{major}.{minor}" + ("a" if (major, minor) == (9, 0) else ""),
        multiprocessors=properties.multi_processor_count,
        l2_mib=round(properties.L2_cache_size / 2**20, 1),
        memory_mib=properties.total_memory // 2**20,
        driver=_output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        nvcc=(_output("nvcc", "--version").splitlines() or [""])[-1],
    )


def provenance(commit: str) -> dict:
    """The commit, and a hash of the sources that settles it where there is no git."""
    known = commit or _output("git", "-C", str(ROOT), "rev-parse", "HEAD")
    changed = _output("git", "-C", str(ROOT), "status", "--porcelain", "-uno") if known else ""
    return {
        "commit": known or "unknown: no git here, and no --commit",
        "changed_files": len(changed.splitlines()),
        "sources_sha256": sources_hash(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": " ".join(["python", *sys.argv]),
    }


def sources_hash(root: Path = ROOT) -> str:
    """SHA-256 over the names and contents of all sources, in order of name."""
    suffixes = {".py", ".h", ".cuh", ".cu", ".cpp", ".toml"}
    digest = hashlib.sha256()
    files = [root / "setup.py", root / "pyproject.toml"]
    for folder in ("bench", "csrc", "vitprobe"):
        files += (path for path in (root / folder).rglob("*") if path.suffix in suffixes)
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
