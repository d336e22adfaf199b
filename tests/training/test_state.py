"""A run's state is data of the right types, or one line that names the field."""

import os

import pytest
import torch

from vitprobe.errors import InputError
from vitprobe.training.state import COLUMNS, FIELDS, FORMAT, read_state

WHOLE = {
    "format": FORMAT,
    "epoch": 1,
    "step": 0,
    "finished": True,
    "settings": {"lr": 0.1, "model": "vit", "augment": {"rand_augment": [2, 9]}, "dim": None},
    "model_state_dict": {"w": torch.ones(2)},
    "raw_state_dict": None,
    "optimizer_state_dict": {"state": {0: {"step": torch.ones(())}}, "param_groups": [{"lr": 1}]},
    "rng": {"torch": torch.get_rng_state(), "cuda": [], "numpy": [], "python": []},
    "losses": [0.5, 10],
    "seconds": 1.0,
    "history": {name: [1.0] for name in COLUMNS},
    "start_sha256": "",
    "class_names": ["a", "b"],
    "images": {"train": 3},
}


def test_what_was_saved(tmp_path):
    torch.save(WHOLE, tmp_path / "a.pt")
    read = read_state(tmp_path / "a.pt")
    assert read.keys() == WHOLE.keys() and read["settings"] == WHOLE["settings"]
    assert torch.equal(read["rng"]["torch"], WHOLE["rng"]["torch"])


@pytest.mark.parametrize("key", FIELDS)
def test_a_field_that_is_missing_or_wrong(tmp_path, key):
    for wrong in (..., [[]], -1, 10**6000, {"a": {"b": [torch.ones(2)]}}, "x\x1b", {1: 2}):
        state = {name: value for name, value in WHOLE.items() if name != key or wrong is not ...}
        if wrong is not ...:
            state[key] = wrong
        if FIELDS[key](state.get(key, ...)):
            continue  # a negative number of seconds, any text
        torch.save(state, tmp_path / "a.pt")
        with pytest.raises(InputError, match=f"no whole checkpoint .*: {key} is") as caught:
            read_state(tmp_path / "a.pt")
        assert "\n" not in str(caught.value)


def test_a_history_of_other_epochs(tmp_path):
    torch.save(WHOLE | {"history": {name: [] for name in COLUMNS}}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="history is wrong"):
        read_state(tmp_path / "a.pt")


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_nothing_in_it_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(WHOLE | {"settings": Evil()}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="settings is wrong"):
        read_state(tmp_path / "a.pt")
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(InputError, match="is a pipe"):
        read_state(tmp_path / "pipe.pt")
    assert not (tmp_path / "executed").exists()
