"""Stored features as a user names them, in the place of models and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vitprobe.data.feature_files import NOTED, FeatureFile, feature_file
from vitprobe.data.rows import Rows
from vitprobe.data.stored_array import StoredArray, in_memory
from vitprobe.errors import InputError
from vitprobe.models.spec import split_label
from vitprobe.taps import StoredFeatures
from vitprobe.text import printable

Arrays = Mapping[str, Tensor | np.ndarray]
FeaturesLike = str | Path | Arrays | Mapping[str, str | Path | Arrays]


def stored(given: Sequence[FeaturesLike]) -> tuple[list[dict[str, StoredFeatures]], Rows]:
    """Models and data for `prepare`.

    given: files (`a.npz`, `early=a.npz`), arrays by the names of their layers, or either under a
    label of its own. What has none is called after its file, or `a`, `b`, ... .

    Raises:
        InputError: what is no such thing, a file that cannot be read, different numbers of
            examples, or a label twice.
    """
    found: list[tuple[str, str | Path | Arrays]] = []
    for each in given:
        if isinstance(each, Mapping) and not _is_arrays(each):
            found += [(str(label), held) for label, held in each.items()]
        else:
            found.append(split_label(each) if isinstance(each, str) else ("", each))
    labels = _labels(found)
    models = []
    notes = []
    for label, (_, held) in zip(labels, found, strict=True):
        if isinstance(held, Mapping):
            file = FeatureFile([in_memory(str(name), x) for name, x in held.items()])
            what = f"features {label}"
        elif isinstance(held, (str, Path)):
            file, what = feature_file(held), f"features {printable(held)}"
        else:
            raise InputError(
                f"features are a file or a dict of arrays by layer, not {type(held).__name__}"
            )
        if file.copied > NOTED:
            notes.append(
                f"{what}: compressed or stored by columns: what is read of it, up to "
                f"{file.copied / 1e9:.2g} GB, is first copied to a temporary file (numpy.savez "
                "writes what needs none)"
            )
        models.append({label: StoredFeatures(file.arrays, what, _provenance(held, file.arrays))})
    return models, Rows(_examples(models), notes)


def _is_arrays(held: Mapping) -> bool:
    return not held or any(not isinstance(each, (str, Path, Mapping)) for each in held.values())


def _labels(found: Sequence[tuple[str, Any]]) -> list[str]:
    """The user's words; of files their names without the ending, and with the folders where two
    would share that."""
    files = [held for label, held in found if not label and isinstance(held, (str, Path))]
    stems = [Path(file).stem for file in dict.fromkeys(map(str, files))]
    labels = []
    for number, (label, held) in enumerate(found):
        if not label and isinstance(held, (str, Path)):
            path = Path(held)
            label = path.stem if stems.count(path.stem) == 1 else str(path)
        labels.append(label or chr(ord("a") + number % 26))
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(
                f"two are called {label!r}: give each its own label, as in early={label}.npz"
            )
    return labels


def _provenance(held: str | Path | Arrays, arrays: Sequence[StoredArray]) -> dict[str, Any]:
    in_file = isinstance(held, (str, Path))
    layers = [each for each in arrays if not each.reason]
    told = repr([(each.name, each.shape, str(each.dtype), each.digest) for each in layers])
    nbytes = sum(each.nbytes for each in layers)
    return {
        "spec": str(held) if in_file else "",
        "name": Path(held).name if in_file else "arrays",
        "weights": "",
        "weights_sha256": sha256(told.encode()).hexdigest(),
        "parameters": 0,
        "arrays": len(layers),
        "bytes": nbytes,
    }


def _examples(models: Sequence[Mapping[str, StoredFeatures]]) -> int:
    features = [each for model in models for each in model.values()]
    first = features[0]
    for other in features[1:]:
        if other.examples != first.examples:
            raise InputError(
                f"{first.what} has {first.examples:,} examples, {other.what} {other.examples:,}: "
                "both hold the same ones, in the same order"
            )
    return first.examples
