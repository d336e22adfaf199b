"""Which CUDA kernels there are for each operator, and which one runs."""

import os
from typing import NamedTuple


class Variants(NamedTuple):
    """The kernels of one operator; `environment` is read at every call."""

    environment: str
    names: tuple[str, ...]
    default: str


# The simple kernels are the default until a results file of a real GPU (bench/gpu.py) shows the
# fast ones passing every test and faster; the switch is made here, and only here.
CUDA_KERNELS = {
    "centered_gram": Variants("VITPROBE_GRAM", ("simple", "fast"), "simple"),
    "hsic_accumulate_": Variants("VITPROBE_HSIC", ("simple", "fast"), "simple"),
    "attention_statistics": Variants("VITPROBE_ATTENTION", ("simple", "fast"), "simple"),
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
