"""What a figure says of the weights that it shows: random, trained, of a file, as given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WORDS = {
    "random": "random weights",
    "pretrained": "pretrained weights",
    "digits": "weights trained on digits",
    "as given": "weights as given",
    "given": "weights as given",  # in results of earlier versions
}


def weights_facts(attrs: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """A few words on the weights of each model whose facts stand under `keys` in a result's
    attributes: once where they are alike, else behind the models' labels; [] where the result does
    not say."""
    said = {}
    for key in keys:
        weights = str(attrs.get(f"{key}_weights", ""))
        if weights:
            said.setdefault(str(attrs.get(key, key)), _words(weights))
    if len(set(said.values())) == 1 and not next(iter(said.values())).startswith("weights of"):
        return [next(iter(said.values()))]
    return [f"{label}: {words}" for label, words in said.items()]


def _words(weights: str) -> str:
    if weights in WORDS:
        return WORDS[weights]
    if weights.startswith("as given by "):
        return f"weights {weights}"
    return f"weights of {Path(weights).name}"
