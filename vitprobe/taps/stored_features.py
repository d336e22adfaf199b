"""Stored activations in the place of a model: its sites are the arrays, its inputs row numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from vitprobe.data.layout import listed
from vitprobe.data.stored_array import StoredArray
from vitprobe.errors import InputError
from vitprobe.taps.axes import ExampleAxis
from vitprobe.taps.sites import Site, Survey

LEAST = 4  # examples, for the unbiased estimator


class StoredFeatures(nn.Module):
    """A forward takes row numbers, int64 (b,), and lets each array that somebody listens to give
    its rows of these, one array after the other.

    what: the file's name, for errors. provenance: as a model has it.

    Raises:
        InputError: arrays of different numbers of examples, too few of these, or no array that can
            be a layer.
    """

    def __init__(self, arrays: Iterable[StoredArray], what: str, provenance: dict[str, Any]):
        super().__init__()
        self.arrays, self.what, self.provenance = list(arrays), what, provenance
        self.layers = nn.ModuleList(map(_Layer, self.arrays))
        self.examples = self._examples()

    def _examples(self) -> int:
        counts: dict[int, str] = {}
        for each in self.arrays:
            if not each.reason:
                counts.setdefault(each.shape[0], each.name)
        if not counts:
            why = next((f": {each.name!r}: {each.reason}" for each in self.arrays), "")
            raise InputError(f"no array of {self.what} can be a layer{why or ': it holds none'}")
        if len(counts) > 1:
            (one, name), (other, another), *_ = counts.items()
            raise InputError(
                f"{self.what}: {name!r} has {one:,} examples, {another!r} {other:,}: the first "
                "axis of every array is that of the same examples"
            )
        (count,) = counts
        if count < LEAST:
            raise InputError(
                f"{self.what} has {count} example{'' if count == 1 else 's'} (the first axis of "
                f"its arrays): {LEAST} or more are needed"
            )
        return count

    def forward(self, rows: Tensor) -> None:
        index = rows.tolist()
        for layer in self.layers:
            if layer._forward_hooks:  # what nobody listens to is not read
                layer(index, rows.device)

    def survey(self) -> Survey:
        """The arrays as sites; of those that can be no layer with the reason."""
        sites = [
            Site(
                name=each.name,
                module=f"layers.{number}",
                call=1,
                keys=None,
                type="array",
                shape=() if each.reason else each.shape[1:],
                dtype=each.dtype,
                where=None if each.reason else ExampleAxis(0),
                tokens="stored features do not say where tokens are",
                reason=each.reason or None,
            )
            for number, each in enumerate(self.arrays)
        ]
        names = "its arrays: " + listed([each.name for each in self.arrays])
        return Survey(sites, {site.module: _Layer for site in sites}, {}, listed=names)


class _Layer(nn.Module):
    def __init__(self, array: StoredArray):
        super().__init__()
        self.array = array

    def forward(self, index: list[int], device: torch.device) -> Tensor:
        return self.array.rows(index).to(device)
