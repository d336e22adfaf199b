"""Which CUDA kernels there are for each operator, and which one runs."""

import os
from typing import NamedTuple


class Variants(NamedTuple):
    """The kernels of one operator; the launcher reads `environment` at every call."""

    environment: str
    names: tuple[str, ...]
    default: str  # as the constant in csrc/cuda says


CUDA_KERNELS = {
    "centered_gram": Variants("VITPROBE_GRAM", ("simple", "fast"), "simple"),
    "hsic_accumulate_": Variants("VITPROBE_HSIC", ("simple", "fast"), "simple"),
}


def chosen_kernel(operator: str) -> str:
    """The name of the CUDA kernel that runs for this operator.

    Raises:
        ValueError: the environment variable names no kernel.
    """
    variants = CUDA_KERNELS[operator]
    name = os.environ.get(variants.environment) or variants.default
    if name not in variants.names:
        choices = " or ".join(variants.names)
        raise ValueError(f"{variants.environment} is {choices}, not {name!r}")
    return name
