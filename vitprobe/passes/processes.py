"""One process or several under torchrun: which part of a batch is whose, and what they add up."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from vitprobe.errors import InputError, option
from vitprobe.ops.wide import wide

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """rank: of this process, 0 .. count - 1."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def part(self, n: int) -> slice:
        """This process's rows of n; parts differ by one row at most."""
        return slice(self.rank * n // self.count, (self.rank + 1) * n // self.count)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, float64, in each of them."""
        values = wide(values)
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def same(self, value: Callable[[], T]) -> T:
        """What this gives in the first process, in every one."""
        if self.count == 1:
            return value()
        held = [value() if self.first else None]
        dist.broadcast_object_list(held, 0)
        return held[0]

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            dist.barrier()


def launched() -> bool:
    """Whether torchrun started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def writes() -> bool:
    """Whether this is the only process, or the first of torchrun's."""
    return not launched() or os.environ["RANK"] == "0"


def own_device(device: torch.device) -> torch.device:
    """Of several processes on one machine each takes the GPU of its number."""
    if device.type == "cuda" and launched():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return device


@contextmanager
def processes(device: torch.device) -> Iterator[Processes]:
    """The process group of torchrun (NCCL on GPUs, else gloo), or one process alone.

    Raises InputError where another process ended while this one waited for it.
    """
    if not launched() or int(os.environ["WORLD_SIZE"]) == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        # once for all runs of this process: a second group would look for the first one's addresses
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    except BaseException as error:
        # The others would see a lost connection before they are told its cause.
        atexit.unregister(_leave)
        lost = "gloo" in str(error) or isinstance(error, dist.DistError)
        if not (lost and isinstance(error, RuntimeError)):
            raise
        raise InputError(
            "another process of this run has ended, and its own message says why; "
            f"{option('resume', True)} goes on from what was saved"
        ) from error


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
