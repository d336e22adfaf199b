"""Two processes, each with half of the batches, give the numbers of one."""

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from vitprobe.metrics import CKA


def batches():
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        x = torch.randn(16, 12, generator=generator)
        yield x, torch.tanh(x[:, :5]) + 0.1 * torch.randn(16, 5, generator=generator)


def _process(rank, folder):
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    metric = CKA(1, 1)
    for i, (x, y) in enumerate(batches()):
        if i % 2 == rank:
            metric.update([x], [y])
    torch.save(tuple(metric.compute()), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_gloo_processes(tmp_path):
    mp.start_processes(_process, (str(tmp_path),), nprocs=2, start_method="spawn")
    metric = CKA(1, 1)
    for x, y in batches():
        metric.update([x], [y])
    expected = metric.compute()
    for rank in range(2):
        cka, se, hsic, df = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert torch.allclose(cka, expected.cka, atol=1e-12)
        assert torch.allclose(se, expected.se, atol=1e-12)
        assert torch.allclose(hsic, expected.hsic, atol=1e-12)
        assert df == expected.df == 5
