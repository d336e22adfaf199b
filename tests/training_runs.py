"""What finished runs left, to be compared: all but the seconds that they took."""

import csv

import torch
from safetensors.torch import load_file


def ending(folder):
    """All that a finished run of the name `run` left, but the seconds that it took."""
    states = [torch.load(folder / f"run{end}", weights_only=True) for end in (".pt", ".last.pt")]
    for state in states:
        del state["seconds"], state["history"]["seconds"], state["command"]
        del state["settings"]["output"], state["settings"]["save_every"]
    with open(folder / "run.csv") as file:
        table = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    return {"best": states[0], "last": states[1], "csv": table} | load_file(
        folder / "run.safetensors"
    )


def assert_same(one, other, where=""):
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), where
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for i, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}/{i}")
    else:
        assert one == other, where
