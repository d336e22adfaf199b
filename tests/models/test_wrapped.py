"""Wrappers are looked through, and what a forward takes is read off the model inside."""

import pytest
import torch
from timm.utils import ModelEmaV2, ModelEmaV3
from torch import nn
from torch.optim.swa_utils import AveragedModel

from vitprobe.models import dtype_of, forward_parameters, unwrapped


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x, mask=None, **more):
        return self.fc(x)


WRAPPERS = {
    "DataParallel": (nn.DataParallel, "module"),
    "torch.compile": (torch.compile, "_orig_mod"),
    "AveragedModel": (AveragedModel, "module"),
    "ModelEmaV2": (ModelEmaV2, "module"),
    "ModelEmaV3": (ModelEmaV3, "module"),
    "two": (lambda model: nn.DataParallel(torch.compile(model)), "module._orig_mod"),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_the_model_inside(name):
    wrap, path = WRAPPERS[name]
    wrapped = wrap(Masked())
    assert unwrapped(wrapped) is wrapped.get_submodule(path)
    assert [p.name for p in forward_parameters(wrapped)] == ["x", "mask", "more"]


def test_other_models_are_themselves():
    class Looks(nn.Module):
        """Has a `module`, but does more than to call it."""

        def __init__(self):
            super().__init__()
            self.module = nn.Linear(2, 2)

        def forward(self, x):
            return self.module(x).relu()

    model = Looks()
    assert unwrapped(model) is model and unwrapped(model.module) is model.module


def test_the_type_that_a_model_computes_in():
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.index = nn.Parameter(torch.zeros(3, dtype=torch.int64), requires_grad=False)
            self.fc = nn.Linear(2, 2).half()

    assert dtype_of(Table()) == torch.float16
    assert dtype_of(nn.ReLU()) == torch.float32
