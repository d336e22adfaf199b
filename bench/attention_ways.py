"""Attention statistics two ways: from the attention matrix, as in torch, and by the operator.

    python bench/attention_ways.py WAY IMAGES HEADS ROWS COLUMNS DEPTH

prints the megabytes that this way adds to what is resident, at its peak (Linux).
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from vitprobe import ops
from vitprobe.ops.reference_attention import patch_distances

PATCH = 16.0


class Problem(NamedTuple):
    """A class token and a grid of patches."""

    images: int
    heads: int
    rows: int
    columns: int
    depth: int
    dtype: torch.dtype = torch.float32

    @property
    def name(self) -> str:
        tokens = 1 + self.rows * self.columns
        sizes = f"B = {self.images}, H = {self.heads}, T = {tokens:,}, D = {self.depth}"
        return f"{str(self.dtype).removeprefix('torch.')}, {sizes}"

    def queries_and_keys(self) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        shape = (2, self.images, self.heads, 1 + self.rows * self.columns, self.depth)
        return torch.randn(shape, generator=generator).to(self.dtype)


Way = Callable[[], list[Tensor]]  # distance_raw, distance, mass, entropy: (B, H) each


def from_softmax(problem: Problem) -> Way:
    """Three passes over the softmax, two of them in place; distances made beforehand."""
    q, k = problem.queries_and_keys()
    distances = patch_distances(problem.rows, problem.columns, PATCH, PATCH).float()
    distances = pad(distances, (1, 0, 1, 0))  # of the class token: 0, so that p needs no slice

    def way():
        p = ((q * problem.depth**-0.5) @ k.transpose(2, 3)).float().softmax(-1)
        mass = 1 - p[:, :, 1:, 0]
        entropy = torch.special.entr(p).sum(-1)[:, :, 1:]
        dist = p.mul_(distances).sum(-1)[:, :, 1:]
        return [each.mean(-1) for each in (dist, dist / mass, mass, entropy)]

    return way


def by_operator(problem: Problem) -> Way:
    q, k = problem.queries_and_keys()
    scale, grid = problem.depth**-0.5, (problem.rows, problem.columns)
    return lambda: list(ops.attention_statistics(q, k, scale, grid, 1, patch_size=PATCH)[:4])


WAYS = {"from the softmax": from_softmax, "attention_statistics": by_operator}


def kilobytes(entry: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{entry}:")[2].split()[0])


def peak_here(name: str, problem: Problem) -> float:
    """Megabytes that one call adds to what is resident, threads and libraries being there."""
    WAYS[name](Problem(4, 4, 8, 8, 64))()
    way = WAYS[name](problem)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = kilobytes("VmRSS")
    way()
    return (kilobytes("VmHWM") - before) / 1024


def peak(name: str, problem: Problem) -> float:
    """`peak_here` in a new process, for float32."""
    command = [sys.executable, "-W", "ignore", __file__, name, *map(str, problem[:5])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    print(peak_here(sys.argv[1], Problem(*map(int, sys.argv[2:]))))
