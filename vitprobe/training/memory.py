"""How many bytes of images may be kept, and where."""

from __future__ import annotations

import os
from pathlib import Path

import torch

MOST = 4 * 2**30
SHARE = 4  # one part in so many of what is free


def default_limit() -> int:
    """Bytes of images that main memory takes: 4 GiB, and at most a quarter of what is free.

    Of torchrun's processes on this machine each gets its part.
    """
    return min(MOST, _available() // SHARE) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def fits_on_gpu(device: torch.device, nbytes: int) -> bool:
    """Whether a GPU has room for so much: up to a quarter of its free memory."""
    return nbytes <= torch.cuda.mem_get_info(device)[0] // SHARE


def sent(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The same on the device; a copy to a GPU does not wait for it."""
    if device.type == "cuda" and x.numel() and not x.is_cuda:
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


def _available() -> int:
    """Bytes that a new process could use, as Linux estimates; elsewhere the whole memory.

    A container's limit counts too (cgroup v2), since /proc/meminfo knows the machine alone.
    """
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        available = int(lines.get("MemAvailable", f"{available >> 10} kB").split()[0]) << 10
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(available, int(text)) if text.isdecimal() else available
