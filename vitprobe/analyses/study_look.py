"""The trained models of a study, looked at: CKA with those they are compared with, attention
distance, skip ratios, in as few passes as that takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from vitprobe.analyses.attention_heads import located
from vitprobe.analyses.attention_reader import AttentionReader
from vitprobe.analyses.cka_reader import CKAReader
from vitprobe.analyses.cka_views import pairs
from vitprobe.analyses.skips_reader import SkipsReader
from vitprobe.analyses.skips_sites import skips_of
from vitprobe.data import ImageData
from vitprobe.errors import InputError
from vitprobe.input_options import InputOptions
from vitprobe.passes.bar import Bar
from vitprobe.passes.batches import batches, leading
from vitprobe.passes.inputs import Inputs, prepare
from vitprobe.passes.keeper import Keeper
from vitprobe.passes.progress import Progress
from vitprobe.passes.provenance import run_id
from vitprobe.passes.reader import Reader
from vitprobe.passes.run import run
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.timing import Stopwatch

_DISTINCT = 4  # images that a model is looked at with before a pass
_OPTIONAL: dict[str, tuple[Callable[[Surveyed], object], type[Reader]]] = {
    "attention": (lambda model: located(model, {}), AttentionReader),
    "skips": (skips_of, SkipsReader),
}


@dataclass
class Looked:
    """What the passes say of the models of a group, by their labels.

    layers: the names of each one's blocks, and of its output; blocks: those that these are, ""
    for the output; blanks: why a layer has no value, or "". pairs: (a, b) -> CKA and its standard
    error over batches, both (layers of a, layers of b), each pair once. attention, skips: Datasets
    as `vitprobe.attention` and `vitprobe.skips` give them. why: "attention" or "skips" -> label ->
    why there is none. files: the partials of the passes.
    """

    layers: dict[str, list[str]] = field(default_factory=dict)
    blocks: dict[str, list[str]] = field(default_factory=dict)
    blanks: dict[str, list[str]] = field(default_factory=dict)
    pairs: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    attention: dict[str, xr.Dataset] = field(default_factory=dict)
    skips: dict[str, xr.Dataset] = field(default_factory=dict)
    why: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: dict = field(default_factory=dict)
    seconds: float = 0.0

    def cka(self, a: str, b: str) -> tuple[np.ndarray, np.ndarray]:
        """CKA and standard errors of two of the models, (layers of a, layers of b)."""
        if (a, b) in self.pairs:
            return self.pairs[a, b]
        return tuple(values.T for values in self.pairs[b, a])


def look(
    specs: Mapping[str, str],
    data: ImageData,
    options: InputOptions,
    *,
    alike: bool,
    keep: Path | None = None,
    progress: bool = False,
) -> Looked:
    """Every pair's CKA, block by block, and where models have them attention and skips.

    One pass for what all models have; one more for attention, or skips, that only some have.

    Args:
        specs: label -> model spec with its weights.
        data: the images.
        alike: whether all must be one network, layer for layer.
        keep: a folder for the sums of each pass: the same call goes on from them.
        progress: show how far a pass is.

    Raises:
        InputError: a model that cannot be had; models that differ where they must not.
    """
    inputs = prepare([dict(specs)], data, options)
    if alike:
        _check_alike(inputs)
    why = _unreadable(inputs, alike)
    whole: list[Reader] = [CKAReader("blocks")]
    apart: list[tuple[Reader, list[str]]] = []
    for kind, (_, reader) in _OPTIONAL.items():
        able = [label for label in specs if label not in why[kind]]
        if len(able) == len(specs):
            whole.append(reader())
        elif able:
            apart.append((reader(), able))
    found = Looked(why=why)
    told = Bar if progress else Progress
    _take(found, whole, list(specs), run(inputs, whole, told(), _keeper(keep, inputs, whole)))
    for reader, able in apart:
        some = prepare([{label: specs[label] for label in able}], data, options)
        _take(found, [reader], able, run(some, [reader], told(), _keeper(keep, some, [reader])))
    return found


def forget(folder: Path) -> None:
    """The results are there: what `look` kept in the folder is no longer needed."""
    for path in folder.glob("*.partial"):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _check_alike(inputs: Inputs) -> None:
    """Raise InputError where a model has other weights than the first, by names and shapes."""
    first, *others = inputs.subjects
    own = _shapes(first.model)
    for other in others:
        shapes = _shapes(other.model)
        if shapes == own:
            continue
        name = next(n for n in dict.fromkeys([*own, *shapes]) if own.get(n) != shapes.get(n))
        has = [
            f"{each.label} has {_sides(held.get(name))}"
            for each, held in ((first, own), (other, shapes))
        ]
        raise InputError(
            f"checkpoints of one study are of two networks, which cannot be compared block by "
            f"block: {', '.join(has)} for {name}; remove the wrong one's files to train it again"
        )


def _shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weight.shape) for name, weight in model.named_parameters()}


def _sides(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "nothing"
    return " x ".join(map(str, shape)) or "one number"


def _unreadable(inputs: Inputs, alike: bool) -> dict[str, dict[str, str]]:
    """For attention and skips: which models have none that can be read, and why."""
    with inputs.on_device(), torch.no_grad(), inputs.autocast:
        few, _ = leading(batches(inputs, Stopwatch(inputs.device)), _DISTINCT)
        models = [
            Surveyed(subject, number, images)
            for number, (subject, images) in enumerate(zip(inputs.subjects, few, strict=True))
        ]
        found: dict[str, dict[str, str]] = {}
        for kind, (finds, _) in _OPTIONAL.items():
            found[kind] = {}
            for model in models[:1] if alike else models:
                label = model.subject.label
                try:
                    finds(model)
                except InputError as error:
                    like_it = models if alike else [model]
                    reason = str(error).replace(label, "this model")
                    found[kind] |= {each.subject.label: reason for each in like_it}
    return found


def _keeper(folder: Path | None, inputs: Inputs, readers: Sequence[Reader]) -> Keeper | None:
    """Its file is called after what the pass does: it is never another pass's."""
    if folder is None:
        return None
    facts = [fact for reader in readers for fact in reader.facts(inputs)]
    return Keeper(folder / f"{run_id({'runs': facts})[:16]}.partial", resume=True)


def _take(
    found: Looked,
    readers: Sequence[Reader],
    labels: Sequence[str],
    results: Sequence[Sequence[xr.Dataset]],
) -> None:
    """Put what a pass gave where it belongs."""
    for reader, given in zip(readers, results, strict=True):
        if reader.analysis == "cka":
            _take_cka(found, labels, given)
        else:
            getattr(found, reader.analysis).update(zip(labels, given, strict=True))
        for each in given:
            for note in filter(None, str(each.attrs["notes"]).split("\n")):
                if note not in found.notes:
                    found.notes.append(note)
    attrs = results[0][0].attrs
    found.facts = found.facts or {key: attrs[key] for key in FACTS}
    found.seconds += sum(value for key, value in attrs.items() if key.startswith("seconds_"))


FACTS = ("split", "examples", "batch_size", "batches", "order", "device")


def _take_cka(found: Looked, labels: Sequence[str], given: Sequence[xr.Dataset]) -> None:
    for (i, j), each in zip(pairs(len(labels)), given, strict=True):
        a, b = labels[i], labels[j]
        found.pairs[a, b] = each["cka"].values, each["cka_se"].values
        if i == j:
            found.layers[a] = [str(name) for name in each["layer_a"].values]
            found.blocks[a] = [str(name) for name in each["block_a"].values]
            found.blanks[a] = [str(reason) for reason in each["blank_a"].values]
