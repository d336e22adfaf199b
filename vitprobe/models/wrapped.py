"""Models as training leaves them: in a wrapper that hands every call on to the model inside."""

from __future__ import annotations

import inspect
import sys
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

# timm's averaged models have no common class; torch.compile's would load its package.
_BY_NAME = {
    ("timm.utils.model_ema", "ModelEmaV2"): "module",
    ("timm.utils.model_ema", "ModelEmaV3"): "module",
    ("torch._dynamo.eval_frame", "OptimizedModule"): "_orig_mod",
}


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DataParallel, DistributedDataParallel, torch.compile's and averaged models,
    in whatever order they lie around it; any other model is itself.

    What the wrapper adds to a forward (several devices, communication, compiled code) is not wanted
    where the layers are looked at, and layers then have the names of the plain model.
    """
    while True:
        if isinstance(model, (DataParallel, DistributedDataParallel, AveragedModel)):
            model = model.module
            continue
        kind = type(model)
        inside = _BY_NAME.get((kind.__module__, kind.__name__))
        if inside is None:
            return model
        model = getattr(model, inside)


def forward_parameters(model: nn.Module) -> tuple[inspect.Parameter, ...]:
    """The parameters of the model's forward, without `self`; () where they cannot be told."""
    try:
        return tuple(inspect.signature(unwrapped(model).forward).parameters.values())
    except (TypeError, ValueError):
        return ()


def as_written() -> AbstractContextManager:
    """Inside, what torch.compile has compiled runs as it was written: compiled code passes hooks
    by. Its package, which takes a second to load, is not loaded for that."""
    loaded = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if loaded else nullcontext()
