"""Some of a result's layers, by the words that analyses take, as far as the result knows them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import xarray

from vitprobe.errors import InputError, did_you_mean, option

WORDS = ("all", "blocks")
DIMS = ("layer", "layer_a", "layer_b")

Layers = str | Sequence[str] | Sequence[Sequence[str]]


def with_layers(datasets: Sequence[xarray.Dataset], layers: Layers) -> list[xarray.Dataset]:
    """The same results with the layers that are asked for alone, in their own order.

    layers: `all`, `blocks`, a name (of a layer, or of a module: the layers in it), a glob, a type
    (where the result has types), or a list of them, their union: for each axis of layers, of which
    each must keep some. Or two such lists, for rows and columns.

    Raises:
        InputError: a pattern that matches nothing, an axis without a layer left, results without
            layers, or more lists than axes.
    """
    sides = [[_Side.of(each, dim) for dim in DIMS if dim in each.dims] for each in datasets]
    lists, most = _lists(layers), min(map(len, sides))
    if not most:
        raise InputError(
            f"results of {datasets[0].attrs['analysis']} have no layers to choose from: leave out "
            f"{option('layers')}"
        )
    if len(lists) not in (1, most):
        once = "once, or once for rows and once for columns" if most == 2 else "once"
        raise InputError(f"{option('layers')} was given {len(lists)} times: give it {once}")
    chosen = list(datasets)
    for place, patterns in enumerate(lists):
        if len(lists) == 1:
            asked = [(k, side) for k, of_one in enumerate(sides) for side in of_one]
        else:
            asked = [(k, of_one[place]) for k, of_one in enumerate(sides)]
        _check(patterns, [side for _, side in asked])
        for k, side in asked:
            chosen[k] = side.keep(chosen[k], patterns)
    return chosen


def _lists(layers: Layers) -> list[list[str]]:
    if isinstance(layers, str):
        return [[layers]]
    layers = list(layers)
    if all(isinstance(each, str) for each in layers):
        return [layers]
    return [[each] if isinstance(each, str) else list(each) for each in layers]


@dataclass(frozen=True)
class _Side:
    """One axis of layers."""

    dim: str
    model: str
    known: dict[str, str]  # name -> layer: itself, or whose very tensor it hands on
    names: list[str]
    blocks: list[str]
    types: list[str]

    @classmethod
    def of(cls, dataset: xarray.Dataset, dim: str) -> "_Side":
        end = dim.removeprefix("layer")
        names = [str(name) for name in dataset[dim].values]

        def column(name: str) -> list[str]:
            held = dataset.get(f"{name}{end}")
            return [""] * len(names) if held is None else [str(each) for each in held.values]

        folded = {}
        if f"folded{end}" in dataset.coords and f"folded_into{end}" in dataset:
            pairs = (dataset[f"{what}{end}"].values for what in ("folded", "folded_into"))
            folded = dict(zip(*(map(str, values) for values in pairs), strict=True))
        attrs = dataset.attrs
        model = str(attrs.get(f"model{end}", attrs.get("model_b", "the model")))
        known = folded | {name: name for name in names}
        return cls(dim, model, known, names, column("block"), column("type"))

    def matching(self, pattern: str) -> set[str]:
        """The layers that a pattern names."""
        if pattern == "all":
            return set(self.names)
        if pattern == "blocks":
            outputs = {*self.blocks, "output"} & self.known.keys()
            inside = zip(self.names, self.blocks, strict=True)
            return {self.known[name] for name in outputs} or {n for n, block in inside if block}
        if pattern in self.known:
            return {self.known[pattern]}
        found = {into for name, into in self.known.items() if _globbed(name, pattern)}
        typed = zip(self.names, self.types, strict=True)
        found = found or {name for name, type_ in typed if type_ == pattern}
        return found or {name for name in self.names if name.startswith(f"{pattern}.")}

    def keep(self, dataset: xarray.Dataset, patterns: Sequence[str]) -> xarray.Dataset:
        """The dataset with these layers alone."""
        wanted = set().union(*map(self.matching, patterns))
        places = np.flatnonzero([name in wanted for name in self.names])
        if not len(places):
            asked = option("layers", ",".join(patterns))
            raise InputError(f"{asked} leaves no layer of {self.model}: name some of its own too")
        said = {f"layers{self.dim.removeprefix('layer')}": ", ".join(patterns)}
        return dataset.isel({self.dim: places}).assign_attrs(said)


def _check(patterns: Sequence[str], sides: Sequence[_Side]) -> None:
    for pattern in patterns:
        if not any(side.matching(pattern) for side in sides):
            known = [*WORDS, *(name for side in sides for name in [*side.known, *side.types])]
            raise InputError(
                f"no layer of this result matches {pattern!r}: give all, blocks, a name, a glob or "
                f"a type{did_you_mean(pattern, known)}"
            )


def _globbed(name: str, pattern: str) -> bool:
    return bool(re.search(r"[*?\[]", pattern)) and fnmatchcase(name, pattern)
