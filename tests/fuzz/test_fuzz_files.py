"""Damaged checkpoints, settings and studies: a result or one line, within memory and time."""

import io
import json
import random
import struct
from pathlib import Path

import pytest
from fuzz.harness import TIMES, Case, damaged, fuzzed, main

COUNTS = {
    "zip": 50,
    "old": 100,
    "safetensors": 200,
    "values": 70,
    "state": 100,
    "config": 1500,
    "study": 800,
}
NAMES = ("", ".", "a\x1b[31m\n", "9" * 5001, "blocks.999999.norm1.weight", "x." * 600, "\ud800")
# What stands in TOML for a value of another type or size.
VALUES = ("[]", "{}", "nan", "-inf", "true", "''", "9223372036854775808", "1e999", "1979-05-27")
VALUES += ("'\\u0000'", '"\\u0000"', "0x" + "f" * 5000, "9" * 5001, "[" * 3000 + "]" * 3000)
VALUES += ('"~nosuchuser/x"', "[[1, 2], ['a']]", "-1", "0", '"a\\u001b[2Jb\\n"', "1" + "0" * 400)
CONFIG = """mode = "scratch"
model = "vit"
dataset = "digits"
test_dataset = "digits"
model_name = "run"
recipe = "digits"
image_size = 32
patch_size = 4
dim = 64
heads = 2
depth = 1
mlp_dim = 64
dropout = 0.1
pool = "cls"
batch_size = 32
epochs = 2
optimizer = "adamw"
lr = 1e-3
weight_decay = 0.05
scheduler = "cosine"
warmup = 0.1
clip_grad = 1.0
seed = 3
precision = "fp32"
compile = false
workers = 0
save_every = 10.0
output = "out"

[augment]
flip = 0.5
rand_augment = [2, 9]
mixup = 0.2
"""
STUDY = """[study]
title = "Some"
dataset = "digits"
seeds = [0, 1]
fractions = [0.5, 1.0]

[train]
epochs = 2
lr = 1e-3

[[model]]
model = "vit"
label = "ViT"
patch_size = 4

[[model]]
model = "resnet20"

[[pretraining]]
dataset = "none"

[[pretraining]]
dataset = "digits"
epochs = 3
"""


def weights():
    from vitprobe.models import build_model

    small = {"dim": 8, "depth": 1, "heads": 2, "mlp_dim": 8, "patch_size": 16}
    return build_model("vit", num_classes=3, architecture=small).state_dict()


def held():
    """A checkpoint as training writes it, without the random states."""
    state = weights()
    return {
        "format": 1,
        "epoch": 1,
        "step": 0,
        "finished": True,
        "model_state_dict": state,
        "raw_state_dict": None,
        "optimizer_state_dict": {"state": {0: {"step": 1.0}}, "param_groups": [{"lr": 0.1}]},
        "rng": {"torch": None, "cuda": [], "numpy": [], "python": []},
        "losses": [0.5, 10],
        "seconds": 1.5,
        "history": {name: [0.5] for name in HISTORY},
        "start_sha256": "",
        "images": {"train": 10},
        "settings": {"model": "vit", "dataset": "digits", "lr": 0.1, "augment": {"flip": 0.5}},
        "architecture": {"heads": 2, "dropout": 0.1},
        "class_names": ["a", "b", "c"],
        "image_size": [32, 32],
        "normalization": {"mean": [0.5] * 3, "std": [0.25] * 3},
    }


HISTORY = ("epoch", "train_loss", "val_loss", "val_accuracy", "test_loss", "accuracy", "lr")
HISTORY += ("seconds",)


def saved(value, **options):
    import torch

    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def safetensors_file():
    from safetensors.torch import save

    about = {key: json.dumps(held()[key]) for key in ("settings", "architecture", "image_size")}
    return [save(weights(), about | {"normalization": json.dumps(held()["normalization"])})]


def with_header(data: bytes, chance: random.Random) -> bytes:
    """Mostly with a damaged header whose length is right."""
    if chance.random() < 0.2:
        return damaged(data, chance)
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = damaged(data[8:end], chance)
    return struct.pack("<Q", len(header)) + header + data[end:]


def hostile(chance: random.Random):
    """A value that no field has."""
    import torch

    deep: list = []
    for _ in range(400):
        deep = [deep]
    found = (10**6000, -1, 2**63, float("nan"), float("inf"), 1e-300, 1e30, "", "os:abort", None)
    found += ([], {}, deep, {"a": deep}, "x\x1b]0;t\x07\n", [1] * 50, b"\xff", True, {1: 2})
    found += (torch.zeros(1).expand(2**20, 2**10), torch.zeros(2, 2).to_sparse(), torch.ones(()))
    found += (torch.ones(2, device="meta"), torch.ones(3, dtype=torch.complex64), "hf:a/b")
    return chance.choice(found)


def other_values(_: bytes, chance: random.Random) -> bytes:
    """The checkpoint with fields, weights and names that are others."""
    changed = held()
    for _ in range(chance.choice((1, 1, 2, 4))):
        inside = [changed, *(value for value in changed.values() if isinstance(value, dict))]
        table = chance.choice([each for each in inside if each])
        key = chance.choice(list(table))
        kind = chance.randrange(4)
        if kind == 0:
            table[chance.choice(NAMES)] = table.pop(key)
        elif kind == 1:
            del table[key]
        else:
            table[key] = hostile(chance)
    return saved(changed)


def other_text(data: bytes, chance: random.Random) -> bytes:
    """TOML with other values, or damaged."""
    if chance.random() < 0.3:
        return damaged(data, chance)
    lines = data.decode().splitlines()
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(lines))
        key, equals, _ = lines[at].partition(" = ")
        if equals and chance.random() < 0.9:
            lines[at] = f"{key} = {chance.choice(VALUES)}"
        else:
            lines[at] = chance.choice(("[[x]]", "[model]", "[a.b.c]", "x = 1", lines[-1]))
    return "\n".join(lines).encode()


def load(path: Path):
    from vitprobe.models import load_model, read_checkpoint, stored

    read = read_checkpoint(path)
    stored.ignored(read.metadata), stored.class_names(read.metadata)
    stored.dataset(read.metadata), stored.model_name(read.metadata, path)
    model = load_model(f"vit@{path}")
    assert model.transform.std is None or min(model.transform.std) > 1e-4
    json.dumps(model.provenance)


def read_config(path: Path):
    from vitprobe.training.resolve import resolve

    assert resolve("scratch", {}, str(path)).lr > 0


def read_the_study(path: Path):
    from vitprobe.training.study import read_study
    from vitprobe.training.study_runs import runs

    runs(read_study(path))


def read_the_state(path: Path):
    from vitprobe.training.history import History
    from vitprobe.training.state import read_state

    state = read_state(path)
    if state["epoch"]:
        History(state["history"]).best  # noqa: B018


CASES = {
    "zip": Case("damaged.pt", lambda: [saved(weights()), saved(held())], load),
    "old": Case(
        "damaged.t7",
        lambda: [saved(each(), _use_new_zipfile_serialization=False) for each in (weights, held)],
        load,
    ),
    "safetensors": Case("damaged.safetensors", safetensors_file, load, with_header),
    "values": Case("damaged.pt", lambda: [saved(held())], load, other_values),
    "state": Case("damaged.last.pt", lambda: [saved(held())], read_the_state, other_values),
    "config": Case("damaged.toml", lambda: [CONFIG.encode()], read_config, other_text),
    "study": Case("damaged.toml", lambda: [STUDY.encode()], read_the_study, other_text),
}


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("case", CASES)
def test_damaged_files_are_a_result_or_one_line(tmp_path, case, times):
    count = COUNTS[case] * times
    ends = fuzzed(__file__, case, tmp_path, count)
    assert sum(ends.values()) == count
    assert min(ends.values()) > count / 50  # both are seen


if __name__ == "__main__":
    main(CASES)
