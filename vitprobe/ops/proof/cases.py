"""The inputs on which the kernels are tried: small ones of awkward shapes, and one of each size
class, which is timed.

Activations have standard deviation 1 and column means of 0, 1 or 10 of it, of either sign.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor

from vitprobe.ops import reference, reference_attention, sizes
from vitprobe.ops.candidates import KINDS
from vitprobe.ops.proof.question import Case
from vitprobe.ops.tolerance import (
    attention_error,
    attention_limit,
    exact,
    limit,
    relative_error,
)

TYPES = {name: dtype for dtype, name in KINDS.items()} | {"tf32": torch.float32}

# Examples, features, mean. Rows of odd lengths are read behind their first number: no row is
# aligned to 16 bytes then.
_ACTIVATIONS = {
    (4, 1, 1.0): "",
    (33, 257, 1.0): "",
    (65, 1031, 0.0): "",
    (128, 1024, 10.0): "",
    (256, 2048, 1.0): "",
    (300, 640, 10.0): "",
    (64, 2048, 1.0): sizes.SMALL,
    (128, 32768, 1.0): sizes.LARGE,
    (384, 4096, 1.0): sizes.MANY_ROWS,
}
_TOGETHER = [2048, 513, 8192, 64, 1, 4096] * 4
_PRODUCTS = {  # rows, columns (0: the same matrix), length
    (1, 1, 6): "",
    (67, 0, 2016): "",
    (65, 129, 2017): "",
    (67, 263, 2016): sizes.SMALL,
    (330, 0, 8128): sizes.LARGE,
}
_ATTENTION = {  # images, heads, heads of keys, depth, grid, prefix, bias
    (2, 3, 3, 20, (5, 4), 0, False): "",
    (1, 4, 2, 64, (7, 7), 1, True): "",
    (2, 2, 2, 32, (14, 14), 5, False): "",
    (1, 2, 2, 128, (9, 13), 1, True): "",
    (2, 6, 6, 64, (14, 14), 1, False): sizes.SMALL,
    (8, 12, 12, 64, (14, 14), 1, False): sizes.LARGE,
}


def gram(kind: str, device: torch.device) -> Iterator[Case]:
    for shape, size in _ACTIVATIONS.items():
        x, expected = _activations(*shape, TYPES[kind], device)
        yield _vector_case(_words(shape), (x,), expected, kind, size)


def center_pack(kind: str, device: torch.device) -> Iterator[Case]:
    timed = {(256, 2048, 1.0): sizes.SMALL, (384, 4096, 1.0): sizes.LARGE}
    for shape in _ACTIVATIONS:
        _, packed = _activations(*shape, TYPES[kind], device)
        packed = packed.to(TYPES[kind])
        for biased in (False, True):
            expected = _centred(exact(packed), biased)
            size = "" if biased else timed.get(shape, "")
            arguments = (packed.to(device), biased)
            yield _vector_case(_words(shape), arguments, expected, kind, size)


def centered_gram(kind: str, device: torch.device) -> Iterator[Case]:
    for shape, size in _ACTIVATIONS.items():
        x, packed = _activations(*shape, TYPES[kind], device)
        for biased in (False,) if size else (False, True):
            arguments = (x, biased, kind == "tf32")
            yield _vector_case(_words(shape), arguments, _centred(packed, biased), kind, size)


def centered_grams(kind: str, device: torch.device) -> Iterator[Case]:
    for shape, size in _ACTIVATIONS.items():
        x, packed = _activations(*shape, TYPES[kind], device)
        expected = _centred(packed, False)[None]
        yield _vector_case(_words(shape), ([x], False, kind == "tf32"), expected, kind, size)
    for examples, size in ((65, ""), (256, ""), (128, sizes.TOGETHER)):
        drawn = [_activations(examples, p, 1.0, TYPES[kind], device) for p in _TOGETHER]
        expected = torch.stack([_centred(packed, False) for _, packed in drawn])
        arguments = ([x for x, _ in drawn], False, kind == "tf32")
        what = f"{len(drawn)} x {examples} examples together"
        yield _vector_case(what, arguments, expected, kind, size)


def hsic_accumulate_(kind: str, device: torch.device) -> Iterator[Case]:
    for (rows, columns, length), size in _PRODUCTS.items():
        a = _normal(rows, length, seed=rows).to(TYPES[kind]).to(device)
        b = _normal(columns, length, seed=length).to(TYPES[kind]).to(device) if columns else a
        before = _normal(rows, len(b), seed=1).double()
        expected = before + exact(a) @ exact(b).T

        def arguments(a=a, b=b, before=before) -> tuple:
            return before.to(device, copy=True), a, b

        def error(acc: Tensor, expected: Tensor = expected) -> float:
            return relative_error(acc, expected)

        what = f"{rows} x {len(b)} vectors of {length}"
        yield Case(what, arguments, error, limit(kind), size)


def attention_statistics(kind: str, device: torch.device) -> Iterator[Case]:
    for shape, size in _ATTENTION.items():
        images, heads, key_heads, depth, grid, prefix, biased = shape
        tokens = prefix + grid[0] * grid[1]
        both = _normal(images, tokens, heads + key_heads, depth, seed=tokens).to(TYPES[kind])
        q, k = both.to(device).transpose(1, 2).split([heads, key_heads], 1)
        wide = torch.float64 if kind == "f64" else torch.float32
        added = _normal(tokens, tokens, seed=2).to(wide).expand(images, heads, -1, -1)
        bias = added.to(device) if biased else None
        scale = depth**-0.5
        others = (scale, *grid, prefix, bias, 16.0, 14.0, not size)
        wanted = reference_attention.attention_statistics(
            exact(q), exact(k), scale, *grid, prefix, None if bias is None else exact(bias),
            16.0, 14.0, True,
        )  # fmt: skip

        def arguments(given=(q, k, *others)) -> tuple:
            return given

        def error(found, wanted=wanted, grid=grid, row=not size) -> float:
            statistics, class_row = found
            return attention_error(
                (statistics, class_row if row else None), wanted, grid, (16.0, 14.0)
            )

        what = f"{images} x {heads} heads of {tokens} tokens, depth {depth}"
        yield Case(what, arguments, error, attention_limit(kind, q, k, scale), size)


@cache
def _activations(
    n: int, p: int, mean: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """(n, p) activations on the device, and their packed Gram matrix in float64 on the CPU."""
    signs = torch.randint(0, 2, (p,), generator=torch.Generator().manual_seed(n)) * 2.0 - 1.0
    x = (_normal(n, p, seed=p) + mean * signs).to(dtype)
    if p % 2 and p > 1:
        padded = torch.zeros(n, p + 1, dtype=dtype, device=device)
        padded[:, 1:] = x.to(device)
        on_device = padded[:, 1:]
    else:
        on_device = x.to(device)
    return on_device, reference.gram(x.double())


def _centred(packed: Tensor, biased: bool) -> Tensor:
    return reference.center_pack(packed, "biased" if biased else "unbiased")


def _vector_case(what: str, arguments: tuple, expected: Tensor, kind: str, size: str) -> Case:
    return Case(
        what,
        lambda: arguments,
        lambda value: relative_error(value, expected),
        limit(kind),
        size,
    )


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _words(shape: tuple) -> str:
    examples, features, mean = shape
    return f"{examples} x {features} activations of mean {mean:g}"
