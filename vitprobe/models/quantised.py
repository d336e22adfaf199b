"""Models of small integers: torch.ao's quantised modules, whose weights are no parameters."""

from torch import nn

_PACKAGES = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")


def is_quantised(module: nn.Module) -> bool:
    """Whether it is itself a quantised module with weights (Conv2d, Linear, with an activation)."""
    return type(module).__module__.startswith(_PACKAGES) and callable(
        getattr(module, "weight", None)
    )


def has_quantised(model: nn.Module) -> bool:
    """Whether a module of the model computes with quantised weights."""
    return any(map(is_quantised, model.modules()))


def weight_matrices(module: nn.Module) -> int:
    """Weights of two axes or more in the module and below it, quantised ones too."""
    plain = sum(parameter.ndim >= 2 for parameter in module.parameters())
    return plain + sum(map(is_quantised, module.modules()))
