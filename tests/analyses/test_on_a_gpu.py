"""What a model sees, computed on a GPU: the numbers of the CPU."""

import numpy as np
import pytest
import torch

import vitprobe
from vitprobe.models import load_model

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
]
NUMBERS = {  # analysis -> variables to compare, and how far they may lie apart
    "skips": (("ratio", "cosine"), 1e-3),
    "receptive_field": (("map", "r50", "r90"), 1e-2),
    "localization": (("cka",), 1e-3),
    "finetuning": (("cka",), 1e-3),
    "dominant": (("first_share", "cka", "cka_without"), 1e-3),
}


@pytest.fixture(autouse=True)
def whole_float32(monkeypatch):
    """Convolutions are not rounded to TF32, as by default."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize("model", ["vit@digits", "resnet20@digits"])
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_those_of_the_cpu(name, model):
    variables, apart = NUMBERS[name]
    models = load_model(model)
    if name == "finetuning":
        other = load_model(model)
        with torch.no_grad():
            for weight in other.parameters():
                weight.mul_(1.01)
        models = [models, other]
    images = torch.randn(48, 3, 32, 32, generator=torch.manual_seed(0))
    there, here = (
        getattr(vitprobe, name)(models, images, batch_size=16, device=device)
        for device in ("cuda", "cpu")
    )
    for variable in variables:
        np.testing.assert_allclose(there[variable], here[variable], atol=apart, rtol=apart)


def test_a_model_without_a_skip():
    cut = load_model("vit(remove_skip=3)@digits")
    images = torch.randn(4, 3, 32, 32, generator=torch.manual_seed(0))
    with torch.no_grad():
        here = cut(images)
        there = cut.cuda()(images.cuda()).cpu()
    torch.testing.assert_close(there, here, atol=1e-3, rtol=1e-3)
