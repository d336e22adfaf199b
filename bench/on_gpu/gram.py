"""`centered_gram` by each kernel, against `x @ x.T` and the whole in torch."""

import torch

from on_gpu import rivals
from on_gpu.clock import input_sets, measure
from on_gpu.kernels import grams, need_kernels
from on_gpu.names import MATMUL, USUAL_RATIO, WHOLE
from on_gpu.section import Section

TYPES = {"bf16": torch.bfloat16, "f32": torch.float32}
# The shapes with a target of their own come first: time may run out.
FIRST = [
    *(("bf16", n, p) for p in (200_704, 1_605_632) for n in (128, 256)),
    *(("f32", n, p) for p in (200_704, 1_605_632) for n in (128, 256)),
]
GRID = [
    (dtype, n, p)
    for p in (200_704, 4_096, 25_088, 1_003_520)
    for n in (256, 128, 64, 512, 1024)
    for dtype in ("bf16", "f32")
]
ODD = [("bf16", 100, 12_345), ("f32", 77, 50_001)]  # rows that are not aligned
# Above 4 standard deviations a column of halves is shifted: so are many of a ViT's first blocks.
SHIFTED_RATIO = 10.0
SHIFTED = [("bf16", n, 200_704, SHIFTED_RATIO) for n in (256, 128, 64, 512)]
SHAPES = [
    *((*shape, USUAL_RATIO) for shape in FIRST),
    *SHIFTED,
    *((*shape, USUAL_RATIO) for shape in (*GRID, *ODD) if shape not in FIRST),
]
DRY_SHAPES = [
    *((*shape, USUAL_RATIO) for shape in (("bf16", 8, 64), ("f32", 8, 64), ("f32", 5, 33))),
    ("bf16", 8, 64, SHIFTED_RATIO),
]
_CHECKED = 4e11  # operations of a float64 product that are paid to know an error


def work(section: Section) -> None:
    """A row for each shape: bytes, flop, ways {name: times}, errors {name: relative}."""
    need_kernels(section.device)
    rivals.full_precision()
    shapes = DRY_SHAPES if section.dry_run else SHAPES
    left_out = []
    for k, (dtype, n, p, ratio) in enumerate(shapes):
        seconds = section.time_left() / (len(shapes) - k)
        bytes_each = n * p * TYPES[dtype].itemsize
        why = ""
        if section.time_left() < 2:
            why = "no time left"
        elif not section.dry_run and 6 * bytes_each > torch.cuda.mem_get_info()[0]:
            why = "too large for this GPU's memory"
        if why:
            left_out.append({"dtype": dtype, "n": n, "p": p, "ratio": ratio, "why": why})
            section.note(left_out=left_out)
            continue
        limit = 0.02 if section.dry_run else min(2.0, seconds / 2)
        _shape(section, dtype, n, p, ratio, bytes_each, limit)
        if not section.dry_run:
            torch.cuda.empty_cache()


def _shape(
    section: Section, dtype: str, n: int, p: int, ratio: float, bytes_each: int, seconds: float
) -> None:
    device, sets = section.device, input_sets(bytes_each, section.device)
    x = [_activations(n, p, ratio, TYPES[dtype], device, seed) for seed in range(sets)]
    whole = rivals.CentredGram(n, device)
    kernels = grams(TYPES[dtype])
    ways = {name: (lambda i, f=f: f(x[i])) for name, f in kernels.items()}
    ways[MATMUL] = lambda i: rivals.matmul(x[i])
    ways[WHOLE] = lambda i: whole(x[i])
    if dtype == "f32":
        ways[f"{MATMUL} tf32"] = lambda i: _in_tf32(rivals.matmul, x[i])
        ways[f"{WHOLE} tf32"] = lambda i: _in_tf32(whole, x[i])
    errors = {}
    if 2 * n * n * p <= _CHECKED:
        expected = rivals.exact_centred_gram(x[0])
        for name, function in {**kernels, WHOLE: whole}.items():
            errors[name] = rivals.relative_error(function(x[0]), expected)
        del expected
    section.add(
        dtype=dtype,
        n=n,
        p=p,
        ratio=ratio,
        input_sets=sets,
        bytes=bytes_each + n * (n - 1) // 2 * 4,  # x once, the result once
        flop=n * (n + 1) * p,  # of the lower half; x @ x.T does twice as many
        ways=measure(ways, sets, seconds, device),
        errors=errors,
    )


def _in_tf32(function, x):
    with rivals.tf32():
        return function(x)


def _activations(
    n: int, p: int, ratio: float, dtype: torch.dtype, device: str, seed: int
) -> torch.Tensor:
    """(n, p), standard deviation 1, means of `ratio`: drawn in pieces, never twice as large."""
    generator = torch.Generator(device).manual_seed(seed)
    x = torch.empty(n, p, dtype=dtype, device=device)
    for rows in x.split(max(1, 2**25 // p)):
        rows.copy_(torch.randn(rows.shape, generator=generator, device=device).add_(ratio))
    return x
