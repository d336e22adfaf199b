"""Two processes, each with half of the batches, give the numbers of one."""

import torch
import torch.multiprocessing as mp
from two_processes import batches, half_of_the_batches

from vitprobe.metrics import CKA


def test_two_gloo_processes(tmp_path):
    mp.start_processes(half_of_the_batches, (str(tmp_path),), nprocs=2, start_method="spawn")
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
