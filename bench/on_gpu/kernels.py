"""The kernels that can be measured: one way for each, by name, chosen by environment variable."""

import inspect
import os
from collections.abc import Callable
from contextlib import contextmanager

import torch

from vitprobe import ops
from vitprobe.ops.library import why_no_cpu, why_no_cuda
from vitprobe.ops.variants import KERNELS


def need_kernels(device: str) -> None:
    """Stop where the reference would be measured instead."""
    why = why_no_cpu() if device == "cpu" else why_no_cuda()
    if why:
        raise RuntimeError(f"no kernels for {device}: {why}")


@contextmanager
def using(variable: str, kernel: str):
    """This kernel runs inside; the launcher reads the environment variable at each call."""
    before = os.environ.get(variable)
    os.environ[variable] = kernel
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def with_kernel(operator: str, kernel: str, function: Callable) -> Callable:
    """The function with that kernel of the operator, however it is called."""
    variable = KERNELS[operator].environment

    def call(*args, **kwargs):
        with using(variable, kernel):
            return function(*args, **kwargs)

    return call


def grams(dtype: torch.dtype) -> dict[str, Callable]:
    """Name -> centered_gram by each kernel, and by each with TF32 where it offers that."""
    offers = "precision" in inspect.signature(ops.centered_gram).parameters
    found = {}
    for kernel in KERNELS["centered_gram"].names:
        found[kernel] = with_kernel("centered_gram", kernel, ops.centered_gram)
        if offers and kernel != "simple" and dtype == torch.float32:

            def tf32(x, function=found[kernel]):
                return function(x, precision="tf32")

            found[f"{kernel} tf32"] = tf32
    return found


def products() -> dict[str, Callable]:
    """Name -> hsic_accumulate_ by each kernel."""
    return {
        kernel: with_kernel("hsic_accumulate_", kernel, ops.hsic_accumulate_)
        for kernel in KERNELS["hsic_accumulate_"].names
    }


def attentions() -> dict[str, Callable]:
    """Name -> attention_statistics by each kernel."""
    return {
        kernel: with_kernel("attention_statistics", kernel, ops.attention_statistics)
        for kernel in KERNELS["attention_statistics"].names
    }


def grouped_grams() -> dict[str, Callable]:
    """Name -> a function of a list of activations: the fast kernel, a few launches for all."""
    return {"grouped": with_kernel("centered_gram", "fast", ops.centered_grams)}
