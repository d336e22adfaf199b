"""Two processes, each with half of the batches, give the numbers of one."""

import forked
import torch
from two_processes import batches, half_of_the_batches

from vitprobe.metrics import CKA


def test_two_gloo_processes(tmp_path):
    processes = [forked.start(half_of_the_batches, rank, str(tmp_path)) for rank in range(2)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
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
