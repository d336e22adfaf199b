"""Which device to run on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from vitprobe.errors import InputError, option


def choose_device(
    device: str | torch.device | None, models: Sequence[str | nn.Module] = ()
) -> torch.device:
    """The device to run on; "auto" or None: a given module's own, else CUDA where there is one.

    `mps` (Apple's GPU) is for who asks for it: PyTorch alone runs there, no kernel of ours.

    Raises:
        InputError: not a device, or one that this machine does not have.
    """
    if device is None or device == "auto":
        homes = [device_of(model) for model in models if isinstance(model, nn.Module)]
        homes = [home for home in homes if home is not None]
        return homes[0] if homes else torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"unknown device {str(device)!r}: use auto, cpu, cuda, cuda:N or mps")
    if chosen.type == "mps":
        chosen = apple_gpu()
        if chosen is None:
            raise InputError("no Apple GPU (mps) on this machine: use --device cpu")
        modules = [model for model in models if isinstance(model, nn.Module)]
        if torch.float64 in map(dtype_of, modules):
            raise InputError("the model is float64, which mps has not: use --device cpu")
    if chosen.type == "cuda":
        if not torch.cuda.is_available():
            raise InputError(
                f"no CUDA device on this machine for {chosen}: use {option('device', 'cpu')}"
            )
        if chosen.index is not None and chosen.index >= torch.cuda.device_count():
            raise InputError(
                f"{device} asked for, but there are {torch.cuda.device_count()} CUDA devices"
            )
        chosen = torch.device("cuda", chosen.index or 0)
    return chosen


def apple_gpu() -> torch.device | None:
    """The Apple GPU of this machine, where it has one that torch can use."""
    return torch.device("mps", 0) if torch.backends.mps.is_available() else None


def dtype_of(model: nn.Module) -> torch.dtype:
    """What the model computes in: the type of its first floating-point parameter, else float32."""
    types = (parameter.dtype for parameter in model.parameters())
    return next((dtype for dtype in types if dtype.is_floating_point), torch.float32)


def device_of(model: nn.Module) -> torch.device | None:
    """Where the model's first parameter or buffer lies; None where it has none."""
    tensor = next(model.parameters(), None)
    tensor = next(model.buffers(), None) if tensor is None else tensor
    return None if tensor is None else tensor.device
