"""safetensors: weights, and metadata that are text or JSON."""

import pytest
import torch
from safetensors.torch import save_file

from vitprobe.errors import InputError
from vitprobe.models.reading.safetensors_file import read_safetensors


def test_weights_and_metadata(tmp_path):
    weights = {"w": torch.randn(2, 3), "b": torch.ones(2).bfloat16()}
    deep = "[" * 100_000
    metadata = {"mean": "[0.1, 0.2]", "epoch": "7", "data": "svhn", "deep": deep}
    save_file(weights, tmp_path / "w.safetensors", metadata)
    read, beside = read_safetensors(tmp_path / "w.safetensors")
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[key], weights[key]) for key in weights)
    assert beside == {"mean": [0.1, 0.2], "epoch": 7, "data": "svhn", "deep": deep}


def test_what_is_no_safetensors_file(tmp_path):
    path = tmp_path / "w.safetensors"
    torch.save({"w": torch.ones(2)}, path)
    with pytest.raises(InputError, match="truncated or no safetensors file"):
        read_safetensors(path)
    with pytest.raises(InputError, match="no checkpoint .*none.safetensors"):
        read_safetensors(tmp_path / "none.safetensors")
