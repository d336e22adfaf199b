"""The kernels' Python face: one layer's activations -> one vector; all pairs of vectors -> HSIC."""

from vitprobe.ops import reference
from vitprobe.ops.functions import (
    center_pack,
    centered_gram,
    centered_grams,
    gram,
    hsic_accumulate_,
)
from vitprobe.ops.library import kernel_status

__all__ = [
    "center_pack",
    "centered_gram",
    "centered_grams",
    "gram",
    "hsic_accumulate_",
    "kernel_status",
    "reference",
]
