"""What a model is given of examples in any form: a tensor, a tuple, a mapping."""

from typing import Any

import torch
from torch import Tensor, nn

from vitprobe.data.model_input import ModelInput, run
from vitprobe.data.takes import Takes
from vitprobe.models import device_of, dtype_of, forward_parameters
from vitprobe.models.restore import as_found

_FEW = 4  # examples on which a way to call the model is tried


def takes_of(model: nn.Module) -> Takes:
    """Item -> what this model is given of it, by the parameters of its forward (see `Takes`)."""

    def runs(x: Tensor | ModelInput) -> bool:
        if not isinstance(x, (Tensor, ModelInput)):
            return False
        try:
            with as_found(model), torch.no_grad():
                run(model, moved(x[:_FEW], device_of(model) or x.device, dtype_of(model)))
        except Exception:
            return False
        return True

    return Takes(forward_parameters(model), runs)


def given(model: nn.Module, examples: Any) -> Tensor | ModelInput:
    """Examples as they are, if they are a tensor or a ModelInput; else what the model takes."""
    if isinstance(examples, (Tensor, ModelInput)):
        return examples
    return takes_of(model)(examples)


def moved(x: Tensor | ModelInput, device: torch.device, dtype: torch.dtype) -> Tensor | ModelInput:
    """On the device; floating-point tensors in this type."""

    def each(x: Tensor) -> Tensor:
        return x.to(device, dtype if x.is_floating_point() else x.dtype)

    return x.map(each) if isinstance(x, ModelInput) else each(x)
