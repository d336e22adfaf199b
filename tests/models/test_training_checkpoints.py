"""What training writes is read back: weights, architecture, normalisation."""

import json
import random

import numpy as np
import torch
from safetensors.torch import save_file

from vitprobe.models import build_model, load_model, read_checkpoint

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
ARCHITECTURE = {"heads": 2, "dim": 64, "depth": 1, "dropout": 0.1}


def test_a_file_with_everything_needed_to_go_on(tmp_path):
    model = build_model("vit", num_classes=3, architecture=ARCHITECTURE)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    averaged = {key: value * 0 for key, value in model.state_dict().items()}
    torch.save(
        {
            "epoch": 4,
            "model_state_dict": model.state_dict(),
            "optimizer_state_dict": optimizer.state_dict(),
            "ema_state_dict": averaged,
            "rng": {
                "torch": torch.get_rng_state(),
                "numpy": np.random.get_state(),
                "python": random.getstate(),
            },
            "history": {"epoch": [1, 2], "lr": [1e-3, 5e-4]},
            "settings": {"recipe": "deit", "mixup": 0.8, "resume": False, "fraction": None},
            "architecture": model.provenance["architecture"],
            "class_names": ["cat", "dog", "ship"],
            "normalization": {"mean": MEAN, "std": STD},
            "train_loss": [2.1, 1.7],
            "test_loss": [2.0, 1.8],
            "accuracy": [31.0, 40.5],
        },
        tmp_path / "w.pt",
    )
    read = read_checkpoint(tmp_path / "w.pt")
    assert read.state.keys() == model.state_dict().keys()
    assert read.metadata["history"]["lr"] == [1e-3, 5e-4]
    assert read.metadata["rng"]["python"] == random.getstate()
    again = load_model(f"vit@{tmp_path / 'w.pt'}")
    assert torch.equal(again.head.weight, averaged["head.weight"])  # as they are evaluated
    assert "#model_state_dict would fit as well" in again.provenance["note"]
    raw = load_model(f"vit@{tmp_path / 'w.pt'}#model_state_dict")
    assert torch.equal(raw.head.weight, model.head.weight)
    assert again.blocks[0].attn.num_heads == 2 and again.pos_drop.p == 0.1
    assert again.provenance["architecture"] == model.provenance["architecture"]
    assert (again.transform.mean, again.transform.std) == (MEAN, STD)
    assert "assumed" not in again.provenance["note"]


def test_weights_alone_with_json_beside_them(tmp_path):
    model = build_model("vit", num_classes=3, architecture=ARCHITECTURE)
    metadata = {
        "architecture": json.dumps(model.provenance["architecture"]),
        "normalization": json.dumps({"mean": MEAN, "std": STD}),
        "model": "vit",
    }
    save_file(model.state_dict(), tmp_path / "w.safetensors", metadata)
    again = load_model(f"vit@{tmp_path / 'w.safetensors'}")
    assert again.provenance["architecture"] == model.provenance["architecture"]
    assert (again.transform.mean, again.transform.std) == (MEAN, STD)
    assert again.provenance["num_classes"] == 3
