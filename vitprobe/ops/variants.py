"""Which kernels there are for each operator on CUDA, and what the environment says of them."""

import os
from typing import NamedTuple

REFERENCE, SIMPLE, FAST = "reference", "simple", "fast"
CHOICES = (REFERENCE, SIMPLE, FAST)

TUNE = "VITPROBE_TUNE"
MODES = ("0", "1", "force")


class Kernels(NamedTuple):
    """The kernels of one operator, beside its reference in PyTorch.

    environment: the variable that overrides the choice, read at every call. types: of its input;
    `tf32` is float32 that may be multiplied in TF32. fast: the types that have a fast kernel.
    """

    environment: str
    types: tuple[str, ...]
    fast: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (SIMPLE, FAST) if self.fast else (SIMPLE,)

    def of(self, kind: str) -> tuple[str, ...]:
        """What may run for this type: the reference first."""
        return CHOICES if kind in self.fast else (REFERENCE, SIMPLE)


_FLOATS = ("f32", "bf16", "f16", "f64")
_WITH_TF32 = ("f32", "tf32", "bf16", "f16", "f64")

KERNELS = {
    "gram": Kernels("VITPROBE_GRAM", _FLOATS),
    "center_pack": Kernels("VITPROBE_GRAM", ("f32", "f64")),
    "centered_gram": Kernels("VITPROBE_GRAM", _WITH_TF32, _WITH_TF32[:-1]),
    "centered_grams": Kernels("VITPROBE_GRAM", _WITH_TF32, _WITH_TF32[:-1]),
    "hsic_accumulate_": Kernels("VITPROBE_HSIC", ("f32", "f64"), ("f32",)),
    "attention_statistics": Kernels("VITPROBE_ATTENTION", _FLOATS, ("bf16", "f16")),
}


def forced_kernel(operator: str, kind: str) -> str | None:
    """The CUDA kernel that the environment asks for, or None; where it asks for a fast one and this
    type has none, the simple one.

    Raises:
        InputError: the environment variable names no kernel.
    """
    kernels = KERNELS[operator]
    name = os.environ.get(kernels.environment)
    if not name:
        return None
    if name not in CHOICES:
        raise _wrong(kernels.environment, CHOICES, name)
    return name if name in kernels.of(kind) else SIMPLE


def tune_mode() -> str:
    """What VITPROBE_TUNE says: "0", "1" or "force".

    Raises:
        InputError: it says anything else.
    """
    mode = os.environ.get(TUNE) or "1"
    if mode not in MODES:
        raise _wrong(TUNE, MODES, mode)
    return mode


def _wrong(variable: str, choices: tuple[str, ...], found: str) -> ValueError:
    # Not above: bench/gpu.py reads this file alone, before the package is built.
    from vitprobe.errors import InputError

    return InputError(f"{variable} is {', '.join(choices[:-1])} or {choices[-1]}, not {found!r}")
