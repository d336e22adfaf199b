"""What each of two processes does; here, so that a new process can import it."""

import torch
import torch.distributed as dist

from vitprobe.metrics import CKA


def batches():
    """Six batches of two layers that have something in common: (16, 12) and (16, 5)."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        x = torch.randn(16, 12, generator=generator)
        yield x, torch.tanh(x[:, :5]) + 0.1 * torch.randn(16, 5, generator=generator)


def half_of_the_batches(rank: int, folder: str) -> None:
    """Process `rank` of two: every second batch, then the result of both to `rank`.pt."""
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    metric = CKA(1, 1)
    for i, (x, y) in enumerate(batches()):
        if i % 2 == rank:
            metric.update([x], [y])
    torch.save(tuple(metric.compute()), f"{folder}/{rank}.pt")
    dist.destroy_process_group()
