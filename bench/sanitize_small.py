"""Every CUDA kernel once on small, odd shapes: what compute-sanitizer watches.

    compute-sanitizer --tool memcheck python bench/sanitize_small.py
    compute-sanitizer --tool racecheck python bench/sanitize_small.py

Shapes (on_gpu/small_inputs.py) reach over the edges of tiles, runs and vectors of loads; results
are compared with the reference, so that a run that silently used no kernel cannot pass. Ends itself
after four minutes.
"""

import os
import signal
import sys

# Each tensor its own allocation: from torch's large blocks an overrun would go unseen.
os.environ["PYTORCH_NO_CUDA_MEMORY_CACHING"] = "1"

import torch
from on_gpu import small_inputs
from on_gpu.kernels import attentions, grams, grouped_grams, need_kernels, products
from on_gpu.rivals import relative_error
from on_gpu.small_inputs import TYPES, Gram

from vitprobe.ops import reference, reference_attention

SECONDS = 240


def check(name: str, value: torch.Tensor, expected: torch.Tensor, limit: float) -> None:
    error = relative_error(value.cpu(), expected)
    if not error <= limit:
        raise SystemExit(f"sanitize_small: {name}: relative error {error}")


def centred(x: torch.Tensor) -> torch.Tensor:
    return reference.centered_gram(x.cpu().double())


def gram(device: str, generator: torch.Generator) -> None:
    """One by one, then several together."""
    count = 1 if device == "cpu" else torch.cuda.get_device_properties(0).multi_processor_count
    for dtype in TYPES:
        for case in small_inputs.grams(dtype, count):
            x = case.draw(dtype, device, generator)
            expected = centred(x)
            for kernel, function in grams(dtype).items():
                limit = 3e-3 if "tf32" in kernel else 1e-5
                check(f"gram {kernel} {dtype} {case}", function(x), expected, limit)
    for name, group in grouped_grams().items():
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            for n, gap in small_inputs.GROUPS:
                cases = [Gram(n, p, gap) for p in small_inputs.GROUP_FEATURES]
                sites = [case.draw(dtype, device, generator) for case in cases]
                for site, vector in zip(sites, group(sites), strict=True):
                    check(f"{name} {dtype} {tuple(site.shape)}", vector, centred(site), 1e-5)


def hsic(device: str, generator: torch.Generator) -> None:
    """Two matrices, and one with itself."""
    for dtype in (torch.float32, torch.float64):
        for la, lb, m in small_inputs.PRODUCTS:
            a = Gram(la, m, gap=1).draw(dtype, device, generator)
            b = Gram(lb, m).draw(dtype, device, generator)
            for kernel, product in products().items():
                for left, right in ((a, b), (b, b)):
                    expected = left.cpu().double() @ right.cpu().double().T
                    acc = torch.zeros(expected.shape, dtype=torch.float64, device=device)
                    check(f"hsic {kernel} {la} {lb} {m}", product(acc, left, right), expected, 1e-5)


def attention(device: str, generator: torch.Generator) -> None:
    """The statistics, and the class token's row."""
    for dtype in TYPES:
        for case in small_inputs.ATTENTIONS:
            q, k, bias = case.draw(dtype, device, generator)
            scale = case.depth**-0.5
            wanted = reference_attention.attention_statistics(
                q.cpu().double(),
                k.cpu().double(),
                scale,
                *case.grid,
                1,
                None if bias is None else bias.cpu().double(),
                1.0,
                1.0,
                True,
            )
            for kernel, statistics in attentions().items():
                found = statistics(q, k, scale, case.grid, 1, bias, class_row=True)
                name = f"attention {kernel} {dtype} {case}"
                check(name, torch.stack(found[:5]), wanted[0], 1e-5)
                check(f"{name} row", found.class_row, wanted[1], 1e-5)


def main(device: str) -> None:
    need_kernels(device)
    generator = torch.Generator().manual_seed(0)
    gram(device, generator)
    hsic(device, generator)
    attention(device, generator)


if __name__ == "__main__":
    signal.alarm(SECONDS)
    main("cpu" if "--dry-run" in sys.argv[1:] else "cuda")
    print("sanitize_small: done")
