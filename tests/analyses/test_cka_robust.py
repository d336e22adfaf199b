"""`vitprobe.cka` on odd models and wrong input: blanks, errors, everything left as found."""

import numpy as np
import pytest
import torch
from torch import nn

import vitprobe
from vitprobe.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::vitprobe.errors.VitprobeWarning")


def value(result, a, b):
    return result["cka"].sel(layer_a=a, layer_b=b).item()


def test_a_blank_has_a_reason(images):
    class Faults(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.constant, self.root = nn.Flatten(), nn.Identity(), nn.Identity()

        def forward(self, x):
            x = self.flat(x)
            self.constant(torch.full((len(x), 7), 3.0))
            return self.root(x.log() if (x[0, 0] == images[24, 0, 0, 0]) else x * 2)

    result = vitprobe.cka(Faults(), data=images, layers="modules", batch_size=24)
    blanks = dict(zip(result["layer_a"].values, result["blank_a"].values, strict=True))
    assert blanks == {
        "flat": "",
        "constant": "constant activations",
        "root": "non-finite values (first in batch 1)",
        "output": "non-finite values (first in batch 1)",
    }
    assert np.isfinite(result["cka"]).sum() == 1


def test_a_layer_that_stops_firing_is_blank(images):
    class Moody(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.extra = nn.Flatten(), nn.Linear(768, 8)

        def forward(self, x):
            x = self.flat(x)
            return x if x[0, 0] == images[24, 0, 0, 0] else x + 0 * self.extra(x).sum()

    result = vitprobe.cka(Moody(), data=images, layers="modules", batch_size=24)
    assert result["blank_a"].sel(layer_a="extra") == "did not fire in batch 1"
    assert value(result, "flat", "flat") == pytest.approx(1)


def test_the_model_is_left_as_found_after_an_error(images):
    class Breaks(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(768, 4))

        def forward(self, x):
            if x[0, 0, 0, 0] == images[24, 0, 0, 0]:
                raise ZeroDivisionError("a fault of the model")
            return self.inner(x)

    model = Breaks()
    model.inner[2].requires_grad_(False)
    model.inner[1].eval()
    with pytest.raises(ZeroDivisionError):
        vitprobe.cka(model, data=images, batch_size=24)
    assert [module.training for module in model.modules()] == [True, True, True, False, True]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not model.inner[2].weight.requires_grad


def test_the_process_is_left_as_found(images):
    """Gradients, threads and random numbers, after success and after a refusal."""
    torch.manual_seed(3)
    expected = torch.rand(4)
    for arguments in ({"layers": "blocks"}, {"layers": "nothing"}):
        torch.manual_seed(3)
        threads = torch.get_num_threads()
        try:
            vitprobe.cka("resnet20", data=images, batch_size=16, **arguments)
        except InputError:
            assert arguments["layers"] == "nothing"
        assert torch.is_grad_enabled()
        assert torch.get_num_threads() == threads
        assert torch.equal(torch.rand(4), expected)


def test_a_model_that_writes_to_its_input(images):
    """The other model sees the images, and so does the caller afterwards."""
    writes = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3), nn.Flatten())
    reads, before = vitprobe.load_model("resnet20"), images.clone()
    options = {"layers": "blocks", "batch_size": 16}
    alone = vitprobe.cka(reads, data=images, **options)
    both = vitprobe.cka(
        writes, reads, images, **(options | {"layers": "all", "layers_b": "blocks"})
    )
    assert torch.equal(images, before)
    assert np.abs(both["cka_bb"].values - alone["cka"].values).max() < 1e-12


def test_a_single_layer():
    result = vitprobe.cka("vit", layers="norm", examples=32, batch_size=8)
    assert result["cka"].values.tolist() == [[pytest.approx(1)]]


def test_rows_and_columns_of_one_model():
    options = {"examples": 32, "batch_size": 8}
    everything = vitprobe.cka("vit", layers=["blocks", "Linear"], **options)
    for models in (["vit"], ["vit", "vit"]):
        part = vitprobe.cka(*models, layers="blocks", layers_b="*.mlp.fc?", **options)
        assert part["layer_a"].values.tolist() == [f"blocks.{i}" for i in range(6)] + ["output"]
        assert part.sizes["layer_b"] == 12
        same = everything["cka"].sel(layer_a=part["layer_a"], layer_b=part["layer_b"])
        assert np.abs(part["cka"].values - same.values).max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_of_another_type_gets_images_of_that_type(dtype):
    model = vitprobe.load_model("resnet20").to(dtype)
    options = {"layers": "blocks", "examples": 64, "batch_size": 16}
    result, plain = vitprobe.cka(model, **options), vitprobe.cka("resnet20", **options)
    tolerance = 1e-6 if dtype == torch.float64 else 0.05
    assert np.abs(result["cka"].values - plain["cka"].values).max() < tolerance


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model_a": "vti"}, "did you mean 'vit'"),
        ({"model_a": "vit", "layers": "blokcs"}, "did you mean"),
        ({"model_a": "vit", "layers": "blocks.*.mpl"}, "did you mean"),
        ({"model_a": "vit", "tokens": "class"}, "tokens"),
        ({"model_a": "vit", "kernel": "cosine"}, "unknown kernel"),
        ({"model_a": "vit", "examples": 3}, "4"),
        ({"model_a": "vit", "batch_size": 3}, "at least 4"),
        ({"model_a": "vit", "passes": 0}, "passes"),
        ({"model_a": "vit", "data": "digit"}, "did you mean 'digits'"),
        ({"model_a": "vit", "device": "gpu"}, "device"),
        ({"model_a": "vit", "device": "meta"}, "device"),
        ({"model_a": 3}, "torch.nn.Module, not int"),
        ({"model_a": nn.LazyLinear(3)}, "lazy parameters"),
        ({"model_a": "vit", "data": torch.randn(3, 3, 32, 32)}, "4"),
        (
            {"model_a": "vit@random", "data": torch.randn(8, 1, 32, 32)},
            "fails on images of 1x32x32",
        ),
    ],
)
def test_wrong_input_is_one_line(arguments, words):
    with pytest.raises(InputError, match=words) as caught:
        vitprobe.cka(**arguments)
    assert "\n" not in str(caught.value)


def test_cuda_asked_for_and_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device"):
        vitprobe.cka("vit", device="cuda")
