"""The inputs of sanitize_small.py: small, and between them on every path of the kernels.

Drawn on the CPU, moved, then sliced on the device: a slice that is moved is packed anew, and its
rows are as far apart as they are long.
"""

from typing import NamedTuple

import torch

TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
RUN_STAGES = 256  # kRunStages of csrc/cuda/gram/warp_tiles.h: stages that a block may sum
STAGE_BYTES = 128  # of a row
BLOCKS_EACH = 2  # blocks of 64 rows on a multiprocessor


class Gram(NamedTuple):
    """(n, p), rows `gap` elements apart and as many behind an aligned start; column means are
    `ratio` standard deviations."""

    n: int
    p: int
    gap: int = 0
    ratio: float = 0.0

    def draw(self, dtype: torch.dtype, device: str, generator: torch.Generator) -> torch.Tensor:
        whole = torch.randn(self.n, self.p + self.gap, generator=generator) + self.ratio
        return whole.to(dtype).to(device)[:, self.gap :]


class Attention(NamedTuple):
    """One image, two heads, one class token and a grid of patches, each head `depth` wide."""

    grid: tuple[int, int]
    depth: int
    biased: bool

    def draw(self, dtype: torch.dtype, device: str, generator: torch.Generator):
        """q, k (1, 2, T, D) whose heads lie side by side, and the bias or None."""
        tokens = 1 + self.grid[0] * self.grid[1]
        q, k = torch.randn(2, 1, tokens, 2, self.depth, generator=generator).to(dtype).to(device)
        bias = torch.randn(1, 2, tokens, tokens, generator=generator) if self.biased else None
        return q.transpose(1, 2), k.transpose(1, 2), None if bias is None else bias.to(device)


GRAMS = [
    *(Gram(n, p, gap=1) for n, p in [(4, 1), (5, 63), (65, 513), (130, 1030)]),  # 2-byte copies
    Gram(65, 512, gap=2),  # 4-byte copies
    *(Gram(n, p) for n, p in [(128, 1024), (256, 2048), (300, 640)]),  # 16-byte copies
    *(Gram(n, p, ratio=10.0) for n, p in [(64, 256), (128, 1024), (256, 512), (300, 640)]),
    Gram(130, 515, gap=1, ratio=10.0),
]
GROUPS = [(33, 1), (100, 0), (130, 1), (256, 0)]  # n, gap
GROUP_FEATURES = (8, 72, 600)
PRODUCTS = [(1, 1, 1), (3, 65, 17), (65, 130, 1030), (130, 7, 1024)]
ATTENTIONS = [
    Attention((3, 5), 20, biased=True),  # the simple kernel
    Attention((9, 8), 64, biased=False),
    Attention((9, 8), 64, biased=True),
    Attention((2, 700), 16, biased=False),  # too many places for a table of distances
    Attention((17, 17), 32, biased=True),  # more than one block of queries
    Attention((4, 5), 80, biased=True),
    Attention((5, 5), 128, biased=False),
]


def grams(dtype: torch.dtype, multiprocessors: int) -> list[Gram]:
    """Those of a type; in float32 one so long that the fast kernel takes two passes over it."""
    stages = BLOCKS_EACH * multiprocessors * RUN_STAGES + 1
    long = Gram(4, stages * STAGE_BYTES // dtype.itemsize)
    return [*GRAMS, *([long] if dtype == torch.float32 else [])]
