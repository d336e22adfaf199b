"""Names of result files: what was done, on which models, and what of it is not as by default."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitprobe.file_names import distinct, file_word, joined, shortened
from vitprobe.input_options import InputOptions

_LONGEST = 24  # characters of a word; what is longer tells nobody anything
_MOST = 4  # models of one run that a name lists
_USUAL = {
    "dataset": "digits",
    "split": "test",
    "estimator": "unbiased",
    "kernel": "linear",
    "measures": "",
}
_SIDES = {"layers": "all", "tokens": "all"}  # of facts that there is one of for each model
_ASKED = {  # what some analyses are asked beside: by default, and the word for anything else
    "cka": {"null_replicates": (None, "null{}")},
    "receptive_field": {
        "layers": ("", "{}"),
        "residual": ("post", "{}"),
        "convention": ("raghu", "{}"),
    },
    "localization": {"layer_asked": ("", "{}"), "tokens_asked": ("", "tokens{}")},
    "finetuning": {"layers": ("blocks", "{}")},
    "dominant": {"layers": ("blocks", "{}"), "drop": (0.05, "drop{}")},
    "probe": {
        "layers": ("all", "{}"),
        "tokens_asked": ("mean", "{}"),
        "pool": ("", "pool{}"),
        "solver": ("ridge", "{}"),
        "l2_asked": ("", "l2_{}"),
        "shots": (0, "shots{}"),
        "convention": ("", "{}"),
        "k": (20, "k{}"),
        "temperature": (0.07, "temperature{}"),
    },
    "compare": {
        "layers": ("blocks", "{}"),
        "tokens": ("all", "{}"),
        "null_replicates": (100, "null{}"),
    },
    "paper": {"layers": ("blocks", "{}"), "index": ("0", "index{}")},
}


def stems(runs: Sequence[Mapping[str, Any]], words: Sequence[str] = ()) -> list[str]:
    """`cka-vit-resnet18-cifar10` for each run: analysis, models or study, and words.

    runs: the facts of each result, of one analysis. words: of all of them.
    """
    labels = list(dict.fromkeys(label for run in runs for label in _labels(run)))
    word_of = dict(zip(labels, model_words(labels), strict=True))
    names = []
    for run in runs:
        parts = _few([word_of[label] for label in _labels(run)])
        names.append(joined([file_word(run["analysis"]), *parts, *_of_facts(run), *words]))
    return distinct(names)


def joint(runs: Sequence[Mapping[str, Any]], words: Sequence[str] = ()) -> str:
    """The name of what shows all of the runs: `attention-vit-deit`."""
    labels = list(dict.fromkeys(label for run in runs for label in _labels(run)))
    return joined(
        [file_word(runs[0]["analysis"]), *model_words(labels), *_of_facts(runs[0]), *words]
    )


def run_words(options: InputOptions, analysis: str = "") -> list[str]:
    """What of the options is not as by default, in a word each: `seed1`, `bf16`.

    analysis: whose defaults; that of receptive fields takes few examples.
    """
    from vitprobe.analyses.receptive_field import EXAMPLES

    if analysis == "receptive_field" and options.examples == EXAMPLES:
        options = replace(options, examples=None)
    said = {
        "order": "{}-order",
        "examples": "examples{}",
        "image_size": "{}px",
        "precision": "{}",
        "seed": "seed{}",
    }
    return [said[name].format(getattr(options, name)) for name in options.changed(*said)]


def told_options(run: Mapping[str, Any]) -> InputOptions:
    """Of the options of a run those that `run_words` tells of, out of the facts of a result."""
    return InputOptions(
        order="file" if run.get("order") == "file" else "seeded",
        examples=int(run.get("examples_asked", 0)) or None,
        image_size=int(run.get("image_size_asked", 0)) or None,
        precision=run.get("dtype", "fp32"),
        seed=int(run.get("seed", 0)),
    )


def model_words(labels: Sequence[str]) -> list[str]:
    """A word for each model: its label; of a spec with weights in a file the file's name without
    its ending, and where two models would share that also the folders above it."""
    parts = [_parts(label) for label in labels]
    count = [1] * len(parts)
    while True:
        words = [file_word(_word(*part, kept)) for part, kept in zip(parts, count, strict=True)]
        often = Counter(word.casefold() for word in words)
        more = [
            kept + 1 if often[word.casefold()] > 1 and kept < len(path) else kept
            for word, kept, (_, path, _) in zip(words, count, parts, strict=True)
        ]
        if more == count:
            return distinct(words)
        count = more


def _labels(run: Mapping[str, Any]) -> list[str]:
    """Of its models, or its study; `model_1`, `model_2`, ... of a run of any number of them."""
    numbered = sorted((key for key in run if re.fullmatch(r"model_\d+", key)), key=_number)
    keys = ("study", "model", "model_a", "model_b", *numbered)
    return [run[key] for key in keys if key in run]


def _number(key: str) -> int:
    return int(key.removeprefix("model_"))


def _few(words: Sequence[str]) -> list[str]:
    """Of a long series the first, how many follow, the last."""
    if len(words) <= _MOST:
        return list(words)
    return [words[0], f"{len(words) - 2}_more", words[-1]]


def _parts(label: str) -> tuple[str, tuple[str, ...], str]:
    """`vit@runs/a.pt#ema` -> vit, (runs, a), ema."""
    from vitprobe.models.spec import split_key

    name, _, weights = label.partition("@")
    weights, key = split_key(weights)
    path = Path(weights)
    return name, (*path.parent.parts, path.stem) if weights else (), key


def _word(name: str, path: tuple[str, ...], key: str, kept: int) -> str:
    weights = "_".join(part.strip("/\\") for part in path[-kept:])
    return f"{name}@{weights}{f'_{key}' if key else ''}" if path else name


def _of_facts(run: Mapping[str, Any]) -> list[str]:
    words = []
    for key, usual in _USUAL.items():
        if key == "dataset" and "study" in run:
            continue  # that of the study, or among the words of all runs
        if run.get(key, usual) not in (usual, ""):
            words.append(data_word(run[key]) if key == "dataset" else str(run[key]))
    for key, usual in _SIDES.items():
        both = [run.get(f"{key}_{side}") for side in "ab"]
        if None not in both and both != [usual, usual]:
            words.append("+".join(dict.fromkeys(both)))
    for key, (usual, form) in _ASKED.get(run["analysis"], {}).items():
        if run.get(key, usual) != usual:
            words.append(form.format(run[key]))
    if run.get("passes", 1) > 1:
        words.append(f"passes{run['passes']}")
    return [file_word(word) for word in words if len(word) <= _LONGEST]


def data_word(name: str) -> str:
    """`npz:data/images.npz` -> npz_images."""
    kind, colon, path = name.partition(":")
    return f"{kind}_{Path(path).stem}" if colon else kind


def file_names(names: Sequence[str], suffixes: Sequence[str]) -> list[str]:
    """Every name with every suffix (`.nc`, `-filters.png`), as long as a file system takes."""
    found = []
    for name in names:
        for suffix in suffixes:
            body, _, kind = suffix.rpartition(".")
            found.append(f"{shortened(name + body)}.{kind}")
    return found
