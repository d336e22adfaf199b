"""What the operators return, without data: for torch.compile, export and meta tensors."""

from collections.abc import Callable

import torch
from torch import Tensor


def _result_type(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _gram(x: Tensor) -> Tensor:
    n = x.shape[0]
    return x.new_empty(n * (n + 1) // 2, dtype=_result_type(x.dtype))


def _center_pack(gram: Tensor, biased: bool) -> Tensor:
    size = gram.shape[0]
    if biased:
        return gram.new_empty(size)
    n = torch.sym_int((torch.sym_sqrt(8 * size + 1) - 1) / 2)  # size = n(n+1)/2
    return gram.new_empty(size - n)


def _centered_gram(x: Tensor, biased: bool) -> Tensor:
    n = x.shape[0]
    size = n * (n + 1) // 2 if biased else n * (n - 1) // 2
    return x.new_empty(size, dtype=_result_type(x.dtype))


def _centered_gram_fast(x: Tensor, biased: bool, tf32: bool) -> Tensor:
    return _centered_gram(x, biased)


def _centered_grams(xs: list[Tensor], biased: bool) -> Tensor:
    one = _centered_gram(xs[0], biased)
    return one.new_empty(len(xs), one.shape[0])


def _centered_grams_fast(xs: list[Tensor], biased: bool, tf32: bool) -> Tensor:
    return _centered_grams(xs, biased)


def _centered_grams_fast_(
    vectors: Tensor, norms: Tensor, xs: list[Tensor], biased: bool, tf32: bool
) -> None:
    return None


def _hsic_accumulate_(acc: Tensor, a: Tensor, b: Tensor) -> None:
    return None


def _attention_statistics(
    q: Tensor,
    k: Tensor,
    scale: float,
    rows: int,
    columns: int,
    prefix: int,
    bias: Tensor | None,
    height: float,
    width: float,
    class_row: bool,
) -> tuple[Tensor, Tensor]:
    kind = _result_type(q.dtype)
    statistics = q.new_empty(5, *q.shape[:2], dtype=kind)
    return statistics, q.new_empty(q.shape[:3] if class_row else 0, dtype=kind)


FAKES: dict[str, Callable] = {
    "gram": _gram,
    "attention_statistics": _attention_statistics,
    "attention_statistics_fast": _attention_statistics,
    "center_pack": _center_pack,
    "centered_gram": _centered_gram,
    "centered_gram_fast": _centered_gram_fast,
    "centered_grams": _centered_grams,
    "centered_grams_fast": _centered_grams_fast,
    "centered_grams_fast_": _centered_grams_fast_,
    "hsic_accumulate_": _hsic_accumulate_,
    "hsic_accumulate_fast_": _hsic_accumulate_,
}


def register() -> None:
    """Register all of them; the library with the schemas must be loaded."""
    for name, fake in FAKES.items():
        torch.library.register_fake(f"vitprobe::{name}", fake)
