"""How much memory is free, for this process and its like on the same machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")

# of a group's folder: its limit, what it uses, and which of that are files that may be forgotten
_V2 = ("memory.max", "memory.current", "inactive_file")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def free_on(device: torch.device) -> int | None:
    """Bytes that tensors may take there; None where that cannot be told.

    Of torchrun's processes on this machine each gets its part of the main memory.
    """
    if device.type == "cuda":
        # what torch holds for tensors to come is free, too
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held
    if device.type != "cpu":
        return None
    found = [each for each in (_of_machine(), *_of_groups()) if each is not None]
    return min(found) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if found else None


def _of_machine() -> int | None:
    """What Linux says that a new process could use without swapping."""
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
        return int(dict(line.split(":", 1) for line in lines)["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return None


def _of_groups() -> Iterator[int]:
    """What the control groups leave that this process is in, a container's for instance."""
    try:
        lines = (PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        root, names = (CGROUPS / "memory", _V1) if kinds else (CGROUPS, _V2)
        place = Path(path)
        # a container may see its own group as the root, under the path that the machine has
        for folder in (place, *place.parents):
            left = _of_group(root / folder.relative_to("/"), *names)
            if left is not None:
                yield left


def _of_group(folder: Path, limit: str, used: str, files: str) -> int | None:
    try:
        most, now = int((folder / limit).read_text()), int((folder / used).read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
        forgotten = int(dict(line.split() for line in lines)[files])
    except (OSError, KeyError, ValueError):  # there is none, or it has no limit ("max")
        return None
    return max(most - now + forgotten, 0)
