"""float64 for numbers of any device: Apple's GPUs (`mps`) have none, and the CPU serves them.

So on `mps` products and sums over features are float32 on the device, as the reference is anywhere,
and what follows them (centring, sums over batches and images) is float64 on the CPU.
"""

import torch
from torch import Tensor

WITHOUT_FLOAT64 = ("mps",)


def wide_home(device: torch.device) -> torch.device:
    """Where float64 of this device's numbers can be: there, else on the CPU."""
    return torch.device("cpu") if device.type in WITHOUT_FLOAT64 else device


def wide(x: Tensor) -> Tensor:
    """x in float64, at its `wide_home`."""
    return x.to(wide_home(x.device)).double()  # two steps: the first one's device cannot do both
