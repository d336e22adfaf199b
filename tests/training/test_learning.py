"""A network that is trained learns; compiled, and in bfloat16, it learns the same."""

from functools import partial

import pytest
import torch
from torch import _dynamo as dynamo

from vitprobe.training import train

TINY = {"model": "vit", "dim": 16, "depth": 1, "heads": 2, "mlp_dim": 32, "patch_size": 8}


def test_a_resnet_learns_digits_in_three_epochs(tmp_path):
    found = train("scratch", model="resnet20", epochs=3, device="cpu", output=str(tmp_path))
    assert found.settings.recipe == "digits-resnet"
    assert found.test_accuracy > 0.85  # chance is 0.1
    assert found.test_accuracy == found.history["accuracy"][found.best_epoch - 1]
    losses = found.history["train_loss"]
    assert losses[2] < losses[1] < losses[0]


def loss(folder, **options):
    """Of an epoch of a tiny ViT on a few digits."""
    found = train(
        "scratch", **TINY, **options, epochs=1, fraction=0.3, device="cpu", output=str(folder)
    )
    return found.history["train_loss"][0]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return loss(tmp_path_factory.mktemp("plain"))


def test_in_bfloat16(plain, tmp_path):
    found = loss(tmp_path, precision="bf16")
    assert found == pytest.approx(plain, rel=1e-2) and found != plain


# The other backend compiles as well what the first has traced, in C++, which takes half a minute.
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param(None, marks=pytest.mark.slow)])
def test_compiled(plain, tmp_path, monkeypatch, backend):
    if backend is not None:
        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    dynamo.reset()
    found = loss(tmp_path, compile=True)
    assert found == pytest.approx(plain, rel=1e-4)
    assert dynamo.utils.counters["stats"]["unique_graphs"] > 0
