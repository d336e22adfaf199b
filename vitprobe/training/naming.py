"""What a run's files are called where the user does not say it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitprobe.file_names import joined
from vitprobe.models.spec import WORDS, split_key

# Choice: the word that its value follows; mostly the option's short form.
WORD_OF = {
    "image_size": "i",
    "patch_size": "ps",
    "dim": "dim",
    "heads": "hd",
    "depth": "d",
    "mlp_dim": "md",
    "dropout": "do",
    "pool": "pool_",
    "remove_skip": "noskip",
    "batch_size": "b",
    "epochs": "e",
    "optimizer": "",
    "lr": "lr",
    "momentum": "mom",
    "weight_decay": "wd",
    "scheduler": "sched_",
    "min_lr": "minlr",
    "warmup": "warm",
    "label_smoothing": "ls",
    "clip_grad": "clip",
    "ema_decay": "ema",
    "augment": "aug",
    "validation": "val",
    "precision": "",
    "ignore_orientation": "stored_",
    "fraction": "f",
    "seed": "s",
}


def default_name(values: Mapping[str, Any], usual: Mapping[str, Any], usual_recipe: str) -> str:
    """`vit-digits-scratch`: model, data set and mode; then what sets this run apart.

    values: a run's choices, all of them. usual: those that its mode, model, data set and recipe
    make. usual_recipe: the one of its mode, model and data set. A choice that differs from the
    usual one is a word, `vit-digits-scratch-e5-lr0.01`; so is another recipe (`adam_plain`), and
    the file that the weights are from (`from_pretrained_vit`).
    """
    kind, _, path = values["dataset"].partition(":")
    words = [values["model"], Path(path).stem or Path(path).name or kind, values["mode"]]
    apart = []
    if (start := values["checkpoint"]) is not None:
        apart.append(_word(f"from_{start if start in WORDS else _file_word(start)}"))
    if values["recipe"] != usual_recipe:
        apart.append(_word(Path(values["recipe"]).stem))
    for key, word in WORD_OF.items():
        if values[key] != usual.get(key):
            apart.append(word + _shown(values[key]))
    return joined([*map(_word, words), *(["-".join(apart)] if apart else [])])


def _file_word(weights: str) -> str:
    """`a/trained.pt#ema` -> `trained_ema`."""
    path, key = split_key(weights)
    return "_".join(filter(None, (Path(path).stem, key)))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        text = json.dumps(value, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:6]
    return _word(str(value))


def _word(text: str) -> str:
    """No dashes: those stand between the words of a name."""
    return re.sub(r"[^\w.]+", "_", text)
