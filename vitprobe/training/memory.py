"""How many bytes of images may be kept, and where."""

from __future__ import annotations

import os

import torch

from vitprobe.passes.free import free_on

MOST = 4 * 2**30
SHARE = 4  # one part in so many of what is free


def default_limit() -> int:
    """Bytes of images that main memory takes: 4 GiB, and at most a quarter of what is free.

    Of torchrun's processes on this machine each gets its part.
    """
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    free = free_on(torch.device("cpu"))
    if free is None:  # the whole memory, then
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // processes
    return min(MOST // processes, free // SHARE)


def fits_on_gpu(device: torch.device, nbytes: int) -> bool:
    """Whether a GPU has room for so much: up to a quarter of its free memory."""
    return nbytes <= torch.cuda.mem_get_info(device)[0] // SHARE


def sent(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The same on the device; a copy to a GPU does not wait for it."""
    if device.type == "cuda" and x.numel() and not x.is_cuda:
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)
