"""Measures that need all examples together: rows of features while batches come, then values."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vitprobe.analyses.measures_sums import Found, needs_all
from vitprobe.data.stream import AS_GIVEN
from vitprobe.errors import InputError, option
from vitprobe.measures import Chosen
from vitprobe.measures.given import Given, NoValue
from vitprobe.metrics.example_rows import ExampleRows
from vitprobe.passes.inputs import Inputs
from vitprobe.passes.reader import Batch

Cells = Collection[tuple[int, int]]


def check_whole(measures: Sequence[Chosen], inputs: Inputs) -> None:
    """All examples can be had together.

    Raises:
        InputError: there are several passes, it is not known how many examples there are, or too
            few for a measure.
    """
    names = ", ".join(each.spec for each in measures if needs_all(each))
    loader = inputs.loader
    if names and loader.passes > 1:
        raise InputError(f"{names} takes each example once: give one pass ({option('passes', 1)})")
    if names and loader.examples is None:
        raise InputError(
            f"{names} takes all examples together, and how many there are is not known: give "
            f"{option('examples', 1000)}"
        )
    for each in filter(needs_all, measures):
        if loader.examples < each.least:
            raise InputError(
                f"{each.spec} needs {each.least} examples or more, not {loader.examples}"
            )


def places_of(batch: Batch, inputs: Inputs) -> Tensor:
    """Which of all examples of the run a batch's are, (n,) from 0."""
    loader = inputs.loader
    if loader.order == AS_GIVEN or not loader.batch_size:
        return batch.index
    return batch.number * loader.batch_size + torch.arange(batch.n)


def values_of(
    measures: Sequence[Chosen],
    rows: ExampleRows,
    about: Mapping[str, Any],
    reasons: Sequence[str],
    cells: Cells,
) -> dict[Chosen, Found]:
    """Of each measure the values of those pairs of layers that are wanted.

    reasons: why a layer has none at all, or "".
    """
    told = {measure: list(reasons) for measure in measures}
    prepared: dict[Chosen, dict[int, Any]] = {measure: {} for measure in measures}
    for row, reason in enumerate(reasons):
        if reason:
            continue
        x = Given(rows.of(*about["columns"][row]), about["steps"][row])  # once for all measures
        finite = bool(x.x.isfinite().all())
        for measure in measures:
            try:
                if not finite:
                    raise NoValue("non-finite values")
                if len(x.x) < measure.least:
                    raise NoValue(f"{len(x.x)} examples: it takes {measure.least} or more")
                prepared[measure][row] = measure.prepare(x)
            except NoValue as error:
                told[measure][row] = str(error)
    found = {}
    for measure in measures:
        value = _compared(measure, prepared[measure], len(reasons), cells)
        found[measure] = Found(value, torch.full_like(value, torch.nan), told[measure])
    return found


def _compared(measure: Chosen, prepared: Mapping[int, Any], count: int, cells: Cells) -> Tensor:
    value = torch.full((count, count), torch.nan, dtype=torch.float64)
    symmetric = measure.name not in ("pwcca", "cknna")
    for a, b in cells:
        if a in prepared and b in prepared:
            known = symmetric and not math.isnan(value[b, a])
            value[a, b] = value[b, a] if known else measure.compare(prepared[a], prepared[b])
    return value


def bytes_beside(examples: int, widths: Sequence[int]) -> int:
    """What values need beside the rows: of each layer a basis and its weights or the neighbours, of
    the widest some copies."""
    own = [min(examples, width) * (examples + min(examples, width)) for width in widths]
    return 8 * (sum(own) + 4 * examples * max(widths, default=0))
