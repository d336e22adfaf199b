"""What a figure says of the weights that it shows: random, trained, of a file, as given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitprobe.figures.names import short_names

LONGEST = 50  # characters of a model's label

WORDS = {
    "random": "random weights",
    "pretrained": "pretrained weights",
    "digits": "weights that ship with vitprobe",
    "as given": "weights as given",
    "given": "weights as given",  # in results of earlier versions
}


def weights_facts(attrs: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """A few words on the weights of each model whose facts stand under `keys` in a result's
    attributes, behind the models' labels where there are several; [] where the result does not
    say."""
    labels = list(dict.fromkeys(str(attrs.get(key, key)) for key in keys))
    said: dict[str, dict[str, None]] = {label: {} for label in labels}
    for key in keys:  # two results may call two sets of weights alike
        if weights := str(attrs.get(f"{key}_weights", "")):
            said[str(attrs.get(key, key))][weights_words(weights)] = None
    texts = [" and ".join(words) for words in said.values()]
    if len(labels) == 1:
        return [text for text in texts if text]
    short = short_names(labels, LONGEST, len)
    return [f"{label}: {text}" for label, text in zip(short, texts, strict=True) if text]


def weights_words(weights: str) -> str:
    """What stands in a result's `<model>_weights`, for a reader; of a file its name."""
    if weights in WORDS:
        return WORDS[weights]
    if weights.startswith("as given by "):
        return f"weights {weights}"
    return f"weights of {Path(weights).name}"
