"""Every CUDA kernel once on small, odd shapes: what compute-sanitizer watches.

    compute-sanitizer --tool memcheck python bench/sanitize_small.py
    compute-sanitizer --tool racecheck python bench/sanitize_small.py

Shapes reach over the edges of tiles, runs and vectors of loads; results are compared with the
reference, so that a run that silently used no kernel cannot pass. Ends itself after two minutes.
"""

import os
import signal
import sys

# Each tensor its own allocation: from torch's large blocks an overrun would go unseen.
os.environ["PYTORCH_NO_CUDA_MEMORY_CACHING"] = "1"

import torch
from on_gpu.kernels import attentions, grams, grouped_grams, need_kernels, products
from on_gpu.rivals import relative_error

from vitprobe.ops import reference, reference_attention

SECONDS = 120
GRAMS = [(4, 1), (5, 63), (65, 513), (130, 1030)]
PRODUCTS = [(1, 1, 1), (3, 65, 17), (65, 130, 1030)]
TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


def check(name: str, value: torch.Tensor, expected: torch.Tensor, limit: float) -> None:
    error = relative_error(value.cpu(), expected)
    if not error <= limit:
        raise SystemExit(f"sanitize_small: {name}: relative error {error}")


def main(device: str) -> None:
    need_kernels(device)
    generator = torch.Generator().manual_seed(0)
    for dtype in TYPES:
        for n, p in GRAMS:
            x = torch.randn(n, p + 1, generator=generator).to(dtype)[:, 1:]  # rows not aligned
            expected = reference.centered_gram(x.double())
            for kernel, gram in grams(dtype).items():
                limit = 3e-3 if "tf32" in kernel else 1e-5
                check(f"gram {kernel} {dtype} {n} x {p}", gram(x.to(device)), expected, limit)
    for dtype in (torch.float32, torch.float64):
        for la, lb, m in PRODUCTS:
            a = torch.randn(la, m + 1, generator=generator, dtype=dtype)[:, 1:]
            b = torch.randn(lb, m, generator=generator, dtype=dtype)
            for kernel, product in products().items():
                for left, right in ((a, b), (b, b)):
                    expected = left.double() @ right.double().T
                    right = right.to(device)
                    left = right if left is b else left.to(device)
                    acc = torch.zeros(expected.shape, dtype=torch.float64, device=device)
                    check(f"hsic {kernel} {la} {lb} {m}", product(acc, left, right), expected, 1e-5)
    for name, group in grouped_grams().items():
        for n in (33, 100, 130):
            sites = [torch.randn(n, p + 1, generator=generator)[:, 1:] for p in (1, 70, 600)]
            for site, vector in zip(sites, group([s.to(device) for s in sites]), strict=True):
                expected = reference.centered_gram(site.double())
                check(f"{name} {n} x {site.shape[1]}", vector, expected, 1e-5)
    attention(device, generator)


def attention(device: str, generator: torch.Generator) -> None:
    """Tokens and depths over the edges of tiles, a bias, tables of distances and none."""
    for dtype in TYPES:
        for grid, depth, biased in (((3, 5), 20, True), ((9, 8), 64, False), ((2, 700), 16, False)):
            tokens = 1 + grid[0] * grid[1]
            q, k = torch.randn(2, 1, tokens, 2, depth, generator=generator).to(dtype)
            q, k = q.transpose(1, 2), k.transpose(1, 2)
            bias = torch.randn(1, 2, tokens, tokens, generator=generator) if biased else None
            arguments = (depth**-0.5, *grid, 1, bias, 1.0, 1.0, True)
            expected, row = reference_attention.attention_statistics(
                q.double(), k.double(), *arguments
            )
            bias = None if bias is None else bias.to(device)
            for kernel, statistics in attentions().items():
                found = statistics(
                    q.to(device), k.to(device), depth**-0.5, grid, 1, bias, class_row=True
                )
                name = f"attention {kernel} {dtype} {grid} {depth}"
                check(name, torch.stack(found[:5]), expected, 1e-5)
                check(f"{name} row", found.class_row, row, 1e-5)


if __name__ == "__main__":
    signal.alarm(SECONDS)
    main("cpu" if "--dry-run" in sys.argv[1:] else "cuda")
    print("sanitize_small: done")
