"""The same layers in several checkpoints: by name, and only of one architecture."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vitprobe.analyses.attention_heads import Heads, located
from vitprobe.analyses.cka_views import LayerSpec
from vitprobe.errors import InputError
from vitprobe.models.blocks import block_paths, enclosing_block
from vitprobe.passes.surveyed import Surveyed
from vitprobe.taps import Selection, Site, select

_WHY = "checkpoints of one architecture are compared, block by block (vitprobe cka takes any two)"


@dataclass(frozen=True)
class Matched:
    """selection: of the first model. sites: for each model, those of these names that can be read.

    left_out: for each model, name -> why not.
    """

    selection: Selection
    sites: list[list[Site]]
    left_out: list[dict[str, str]]

    @property
    def names(self) -> list[str]:
        return [site.name for site in self.selection.sites]


def matched(models: Sequence[Surveyed], layers: LayerSpec) -> Matched:
    """The layers that are asked for of the first model, and those of the same names of the others.

    Raises:
        InputError: nothing matches; or another model has other blocks, other weights in one of
            them, or lacks a layer.
    """
    first = models[0]
    selection = select(first.sites, layers)
    for other in models[1:]:
        _check_architecture(first, other)
    sites, left_out = [], []
    for model in models:
        readable, reasons = [], {}
        for site in selection.sites:
            own = model.sites.by_name.get(site.name)
            if own is None:
                raise InputError(
                    f"{model.subject.label} has no layer {site.name!r}, which "
                    f"{first.subject.label} has: {_WHY}"
                )
            if own.reason:
                reasons[site.name] = own.reason
            else:
                readable.append(own)
        sites.append(readable)
        left_out.append(reasons)
    return Matched(selection, sites, left_out)


def _check_architecture(first: Surveyed, other: Surveyed) -> None:
    """Raise InputError where the blocks differ in their names, or in the shapes of their weights.

    A classifier of other classes may count as a block, in models that list none; it may differ.
    """
    one, two = _weights_of_blocks(first), _weights_of_blocks(other)
    labels = first.subject.label, other.subject.label
    if one.keys() != two.keys():
        has = [
            f"{label} has {_counted([*of])}" for label, of in zip(labels, (one, two), strict=True)
        ]
        raise InputError(f"{' and '.join(has)}: {_WHY}")
    classes = _classes(first), _classes(other)
    for block, weights in one.items():
        for name in dict.fromkeys([*weights, *two[block]]):
            shapes = weights.get(name), two[block].get(name)
            if shapes[0] == shapes[1] or _of_classes(shapes, classes):
                continue
            there = [
                f"{label} {'has none' if shape is None else f'one of {_sides(shape)}'}"
                for label, shape in zip(labels, shapes, strict=True)
            ]
            raise InputError(f"the weight {name} differs, {', '.join(there)}: {_WHY}")


def _weights_of_blocks(model: Surveyed) -> dict[str, dict[str, tuple[int, ...]]]:
    """Block -> name of each weight in it -> shape, in the order in which blocks fire."""
    blocks = dict.fromkeys(site.block for site in model.sites if site.block)
    found: dict[str, dict[str, tuple[int, ...]]] = {block: {} for block in blocks}
    for name, weight in model.subject.model.named_parameters():
        if block := enclosing_block(name, set(blocks)):
            found[block][name] = tuple(weight.shape)
    return found


def _classes(model: Surveyed) -> int:
    """Of the model's output; 0 where it is no vector."""
    output = model.sites.by_name.get("output")
    return output.shape[0] if output is not None and len(output.shape) == 1 else 0


def _of_classes(shapes: Sequence[tuple[int, ...] | None], classes: tuple[int, int]) -> bool:
    if None in shapes or classes[0] == classes[1]:
        return False
    one, two = shapes
    return (*one[:1], *two[:1]) == classes and one[1:] == two[1:]


def _counted(blocks: Sequence[str]) -> str:
    if not blocks:
        return "no blocks"
    last = f" to {blocks[-1]}" if len(blocks) > 1 else ""
    return f"{len(blocks)} block{'s'[: len(blocks) != 1]} ({blocks[0]}{last})"


def _sides(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"


@dataclass(frozen=True)
class MatchedHeads:
    """heads: of each model. names: of the attention layers of the first, in firing order."""

    heads: list[Heads]
    names: list[str]


def matched_heads(models: Sequence[Surveyed]) -> MatchedHeads:
    """The attention layers of all models, whose tokens lie alike.

    Raises:
        InputError: a model without attention that can be read, or whose grid is another's.
    """
    heads = [located(model, {}) for model in models]
    first = heads[0]
    for other in heads[1:]:
        for name, grid in first.grids.items():
            if name in other.grids and other.grids[name] != grid:
                labels = (each.model.subject.label for each in (first, other))
                raise InputError(f"{' and '.join(labels)} have other grids of patches in {name}")
    return MatchedHeads(heads, [site.name for site in first.sites])


def described_heads(matched: MatchedHeads) -> dict[str, Any]:
    """What a result tells of the attention layers, as JSON can hold it."""
    first = matched.heads[0]
    blocks = set(block_paths(first.model.subject.model))
    why: list[Mapping[str, str]] = [
        {**heads.blanks, **{site.name: site.reason for site in heads.refused}}
        for heads in matched.heads
    ]
    read = [{site.name for site in heads.computed} for heads in matched.heads]
    return {
        "names": matched.names,
        "blocks": [enclosing_block(name.partition("#")[0], blocks) for name in matched.names],
        "grids": {name: asdict(grid) for name, grid in first.grids.items()},
        "blanks": [
            [
                "" if name in there else reasons.get(name, "not found in this checkpoint")
                for name in matched.names
            ]
            for there, reasons in zip(read, why, strict=True)
        ],
    }
