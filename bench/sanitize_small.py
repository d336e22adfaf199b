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
from on_gpu.kernels import grams, grouped_grams, need_kernels, products
from on_gpu.rivals import relative_error

from vitprobe.ops import reference

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


if __name__ == "__main__":
    signal.alarm(SECONDS)
    main("cpu" if "--dry-run" in sys.argv[1:] else "cuda")
    print("sanitize_small: done")
