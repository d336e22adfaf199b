"""The kernels' Python face: one layer's activations -> one vector; all pairs of vectors -> HSIC."""

from vitprobe.ops import reference, reference_attention
from vitprobe.ops.attention import (
    AttentionStatistics,
    attention_statistics,
    dense_attention_statistics,
)
from vitprobe.ops.choice import choices as chosen_kernels
from vitprobe.ops.functions import (
    center_pack,
    centered_gram,
    centered_grams,
    centered_grams_,
    gram,
    hsic_accumulate_,
)
from vitprobe.ops.library import kernel_status

__all__ = [
    "AttentionStatistics",
    "attention_statistics",
    "center_pack",
    "centered_gram",
    "centered_grams",
    "centered_grams_",
    "chosen_kernels",
    "dense_attention_statistics",
    "gram",
    "hsic_accumulate_",
    "kernel_status",
    "reference",
    "reference_attention",
]
