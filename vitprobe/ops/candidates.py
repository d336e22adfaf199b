"""What may run for each operator: functions of the same arguments, one for each kernel.

`simple` is the operator itself: on the CPU its only kernel, on CUDA the simple one.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from vitprobe.ops import reference, reference_attention
from vitprobe.ops.variants import FAST, REFERENCE, SIMPLE

KINDS = {
    torch.float32: "f32",
    torch.float64: "f64",
    torch.bfloat16: "bf16",
    torch.float16: "f16",
}


def _estimator(biased: bool) -> str:
    return "biased" if biased else "unbiased"


def gram_reference(x: Tensor) -> Tensor:
    return reference.gram(x)


def gram_simple(x: Tensor) -> Tensor:
    return torch.ops.vitprobe.gram.default(x)


def center_pack_reference(gram: Tensor, biased: bool) -> Tensor:
    return reference.center_pack(gram, _estimator(biased))


def center_pack_simple(gram: Tensor, biased: bool) -> Tensor:
    return torch.ops.vitprobe.center_pack.default(gram, biased)


def centered_gram_reference(x: Tensor, biased: bool, tf32: bool) -> Tensor:
    return reference.centered_gram(x, _estimator(biased))


def centered_gram_simple(x: Tensor, biased: bool, tf32: bool) -> Tensor:
    return torch.ops.vitprobe.centered_gram.default(x, biased)


def centered_gram_fast(x: Tensor, biased: bool, tf32: bool) -> Tensor:
    return torch.ops.vitprobe.centered_gram_fast.default(x, biased, tf32)


def centered_grams_reference(xs: list[Tensor], biased: bool, tf32: bool) -> Tensor:
    return reference.centered_grams(xs, _estimator(biased))


def centered_grams_simple(xs: list[Tensor], biased: bool, tf32: bool) -> Tensor:
    return torch.ops.vitprobe.centered_grams.default(xs, biased)


def centered_grams_fast(xs: list[Tensor], biased: bool, tf32: bool) -> Tensor:
    return torch.ops.vitprobe.centered_grams_fast.default(xs, biased, tf32)


def hsic_accumulate_reference(acc: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return reference.hsic_accumulate_(acc, a, b)


def hsic_accumulate_simple(acc: Tensor, a: Tensor, b: Tensor) -> Tensor:
    torch.ops.vitprobe.hsic_accumulate_.default(acc, a, b)
    return acc


def hsic_accumulate_fast(acc: Tensor, a: Tensor, b: Tensor) -> Tensor:
    torch.ops.vitprobe.hsic_accumulate_fast_.default(acc, a, b)
    return acc


def attention_reference(*arguments) -> tuple[Tensor, Tensor]:
    return reference_attention.attention_statistics(*arguments)


def attention_simple(*arguments) -> tuple[Tensor, Tensor]:
    return torch.ops.vitprobe.attention_statistics.default(*arguments)


def attention_fast(*arguments) -> tuple[Tensor, Tensor]:
    return torch.ops.vitprobe.attention_statistics_fast.default(*arguments)


CANDIDATES: Mapping[str, Mapping[str, Callable]] = {
    "gram": {REFERENCE: gram_reference, SIMPLE: gram_simple},
    "center_pack": {REFERENCE: center_pack_reference, SIMPLE: center_pack_simple},
    "centered_gram": {
        REFERENCE: centered_gram_reference,
        SIMPLE: centered_gram_simple,
        FAST: centered_gram_fast,
    },
    "centered_grams": {
        REFERENCE: centered_grams_reference,
        SIMPLE: centered_grams_simple,
        FAST: centered_grams_fast,
    },
    "hsic_accumulate_": {
        REFERENCE: hsic_accumulate_reference,
        SIMPLE: hsic_accumulate_simple,
        FAST: hsic_accumulate_fast,
    },
    "attention_statistics": {
        REFERENCE: attention_reference,
        SIMPLE: attention_simple,
        FAST: attention_fast,
    },
}
