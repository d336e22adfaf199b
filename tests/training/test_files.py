"""Files of a run: whole or not at all, and read as data."""

import json

import pytest
import torch
from safetensors import safe_open

from vitprobe.errors import InputError
from vitprobe.training.files import RunFiles
from vitprobe.training.state import COLUMNS, FORMAT


@pytest.fixture
def files(tmp_path):
    files = RunFiles(tmp_path / "deep" / "folder", "run.1")  # a dot is no suffix
    files.check_writable()
    return files


def state(**values):
    values.setdefault("history", {name: [0.0] * values.get("epoch", 1) for name in COLUMNS})
    whole = {
        "format": FORMAT,
        "epoch": 1,
        "step": 0,
        "finished": False,
        "settings": {"lr": 0.1},
        "model_state_dict": {},
        "raw_state_dict": None,
        "optimizer_state_dict": {"state": {}, "param_groups": []},
        "rng": dict.fromkeys(("torch", "cuda", "numpy", "python")),
        "losses": [0.0, 0],
        "seconds": 0.0,
        "start_sha256": "",
        "class_names": ["a", "b"],
        "images": {},
    }
    return whole | values


def test_the_names(files):
    paths = (files.best, files.last, files.weights, files.table)
    assert [path.name for path in paths] == [
        "run.1.pt",
        "run.1.last.pt",
        "run.1.safetensors",
        "run.1.csv",
    ]


def test_what_was_written_is_read(files):
    files.write_last(state(weights=torch.arange(3)))
    held, note = files.read_last()
    assert held["weights"].tolist() == [0, 1, 2]
    assert note == f"going on from {files.last}"
    assert [path.name for path in files.folder.iterdir()] == ["run.1.last.pt"]  # no scratch files


def test_the_weights_alone_say_what_they_are(files):
    weights = {"a.weight": torch.randn(2, 3).t(), "a.steps": torch.tensor(4)}
    about = state(architecture={"heads": 4}, normalization={"mean": [0.5] * 3, "std": [0.25] * 3})
    files.write_best(about | {"model_state_dict": weights})
    with safe_open(files.weights, framework="pt") as file:
        assert torch.equal(file.get_tensor("a.weight"), weights["a.weight"])
        metadata = file.metadata()
    assert json.loads(metadata["architecture"]) == {"heads": 4}
    assert json.loads(metadata["normalization"])["std"] == [0.25] * 3
    assert torch.equal(files.read_last()[0]["model_state_dict"]["a.steps"], torch.tensor(4))


def test_the_table_has_a_line_an_epoch(files):
    files.write_table({"epoch": [1, 2], "accuracy": [0.5, 0.75]})
    assert files.table.read_text() == "epoch,accuracy\n1,0.5\n2,0.75\n"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("x\ny")])
def test_a_failed_write_keeps_what_was_there(files, monkeypatch, error):
    files.write_last(state(epoch=3))
    whole = torch.save

    def fail(value, file):
        whole(value, file)
        raise error

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(InputError) as raised:
        files.write_last(state(epoch=4))
    message = str(raised.value)
    assert message.startswith(f"cannot write {files.last}: ") and "\n" not in message
    assert f"the last good checkpoint is {files.last}" in message
    assert files.read_last()[0]["epoch"] == 3
    assert len(list(files.folder.iterdir())) == 1


def test_a_full_device_is_said(files, monkeypatch):
    # /dev/full takes no byte: what a full disk does, without filling one
    files.write_last(state(epoch=3))
    opened = open
    monkeypatch.setattr("builtins.open", lambda path, mode: opened("/dev/full", "wb"))
    for write in (
        lambda: files.write_last(state(x=torch.zeros(100_000))),
        lambda: files.write_table({"epoch": [1]}),
    ):
        with pytest.raises(InputError, match="No space left on device; the last good"):
            write()
    monkeypatch.undo()
    assert files.read_last()[0]["epoch"] == 3


def test_a_damaged_last_checkpoint_gives_way_to_the_best(files):
    files.write_best(state(epoch=2, model_state_dict={}))
    files.write_last(state(epoch=5, x=torch.randn(1000)))
    data = files.last.read_bytes()
    files.last.write_bytes(data[: len(data) // 2])
    held, note = files.read_last()
    assert held["epoch"] == 2
    assert str(files.last) in note and "truncated" in note and note.endswith(str(files.best))
    files.best.write_bytes(b"")
    with pytest.raises(InputError, match="remove it to start afresh"):
        files.read_last()


def test_another_programs_checkpoint_is_refused(files):
    torch.save({"model_state_dict": {"w": torch.zeros(1)}}, files.last)
    with pytest.raises(InputError, match="is no checkpoint of vitprobe train"):
        files.read_last()
    files.last.write_text("text")
    with pytest.raises(InputError, match="truncated or no checkpoint"):
        files.read_last()


def test_nothing_to_go_on_from(files):
    assert files.read_last() == (None, "")
    assert files.good() == "no checkpoint was written yet"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write to output .*file/x"):
        RunFiles(tmp_path / "file" / "x", "run").check_writable()
