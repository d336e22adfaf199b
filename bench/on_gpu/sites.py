"""Many small sites of one forward: one by one, together, and torch."""

import random
import time

import torch

from on_gpu import rivals
from on_gpu.clock import Way, measure
from on_gpu.kernels import grams, grouped_grams, need_kernels
from on_gpu.names import MATMUL, WHOLE
from on_gpu.section import Section

SITES = 200
EACH = "one launch each"
TYPES = {"bf16": torch.bfloat16, "f32": torch.float32}


def features(count: int, least: int, most: int) -> list[int]:
    """Numbers of features, even on a logarithmic scale, in multiples of 64, in random order."""
    steps = [least * (most / least) ** (k / (count - 1)) for k in range(count)]
    sizes = [max(64, round(step / 64) * 64) for step in steps]
    random.Random(0).shuffle(sizes)
    return sizes


def work(section: Section) -> None:
    """A row for each n and type: microseconds of all sites together."""
    need_kernels(section.device)
    rivals.full_precision()
    dry, device = section.dry_run, section.device
    sizes = features(6, 64, 256) if dry else features(SITES, 512, 65_536)
    cases = [("bf16", 8)] if dry else [("bf16", 128), ("bf16", 256), ("bf16", 64), ("f32", 128)]
    for k, (dtype, n) in enumerate(cases):
        if section.time_left() < 2:
            section.note(left_out=f"no time left for {dtype}, n = {n} and what follows")
            return
        ways, read = _ways(sizes, n, TYPES[dtype], device)
        seconds = 0.02 if dry else min(3.0, section.time_left() / (len(cases) - k) / 2)
        timed = measure(ways, 2, seconds, device)
        for name, result in timed.items():
            result["us_eager"] = None if "failed" in result else _eager(ways[name], device)
        section.add(
            dtype=dtype,
            n=n,
            sites=len(sizes),
            features=sum(sizes),
            bytes=read + len(sizes) * n * (n - 1) // 2 * 4,
            ways=timed,
        )


def _ways(sizes: list[int], n: int, kind: torch.dtype, device: str) -> tuple[dict[str, Way], int]:
    """By name, on two sets of all sites, each larger than the L2; and the bytes of one set."""
    x = [[torch.randn(n, p, device=device).add_(1).to(kind) for p in sizes] for _ in range(2)]
    each = dict(grams(kind)) | {MATMUL: rivals.matmul, WHOLE: rivals.CentredGram(n, device)}
    ways = {
        f"{name}, {EACH}": (lambda i, f=function: [f(site) for site in x[i]])
        for name, function in each.items()
    }
    for name, function in grouped_grams().items():
        ways[name] = lambda i, f=function: f(x[i])
    return ways, sum(site.nbytes for site in x[0])


def _eager(way: Way, device: str) -> float:
    """Microseconds without a graph, launches and Python included: what a hook pays."""
    spans = []
    for _ in range(5):
        if device == "cuda":
            torch.cuda.synchronize()
        begin = time.perf_counter()
        way(0)
        if device == "cuda":
            torch.cuda.synchronize()
        spans.append((time.perf_counter() - begin) * 1e6)
    return round(sorted(spans)[2], 1)
