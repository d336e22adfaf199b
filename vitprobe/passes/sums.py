"""What a pass has so far: sums of every reader, and of which batches they are.

They add: parts of a run that share no batch give the whole, in any order, whoever made them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_min, dim_zero_sum

from vitprobe.metrics.top import best_of_parts


class Tally(Metric):
    """How many examples and batches counted for a reader, and how many examples did not, in batches
    of too few."""

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        for name in ("examples", "batches", "dropped"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), "sum")

    def update(self, n: int, counts: bool) -> None:
        """Add a batch of n examples."""
        if counts:
            self.examples += n
            self.batches += 1
        else:
            self.dropped += n

    def compute(self) -> dict[str, int]:
        """The three numbers."""
        return {name: int(getattr(self, name)) for name in self._defaults}


@dataclass
class Part:
    """One reader's share of `Sums`; see `Reader` for its fields."""

    analysis: str
    version: int
    about: dict[str, Any]
    metrics: Mapping[str, Metric]
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        for metric in (*self.metrics.values(), self.tally):
            # the pass brings the sums of several processes together, not each metric its own
            metric.sync_on_compute = metric._to_sync = False


@dataclass
class Sums:
    """What was computed of a run.

    parts: one for each reader, in their order. done: numbers of the batches that are in the sums.
    total: of the whole run, None where nobody knows yet. passes: times through the examples.
    skipped: images that could not be read. notes: what a reader of the results should know of the
    data. device: its name. seconds: by part, of all processes together. tolerance: below which
    every standard error was, where the run ended with that; else None.
    """

    parts: list[Part]
    passes: int
    device: str
    done: set[int] = field(default_factory=set)
    total: int | None = None
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    tolerance: float | None = None
    incomplete: bool = False

    @property
    def examples(self) -> int:
        """How many were shown to the models, over all passes."""
        tally = self.parts[0].tally
        return int(tally.examples + tally.dropped)

    def states(self) -> dict[str, Tensor]:
        """Every sum by its name, `0.cka.sums`; the very tensors."""
        return {
            f"{k}.{name}.{state}": getattr(metric, state)
            for k, name, metric in self._metrics()
            for state in metric._defaults
        }

    def set_states(self, states: Mapping[str, Tensor]) -> None:
        """Put these values, which have the names and shapes of `states`, where the sums are."""
        for k, name, metric in self._metrics():
            for state in metric._defaults:
                here = getattr(metric, state)
                setattr(metric, state, states[f"{k}.{name}.{state}"].to(here).clone())
            metric._computed, metric._update_count = None, max(metric._update_count, 1)

    def reductions(self) -> dict[str, str]:
        """How each of `states` is added up: "sum", "min" or "top"."""
        return {
            f"{k}.{name}.{state}": _WORDS[metric._reductions[state]]
            for k, name, metric in self._metrics()
            for state in metric._defaults
        }

    def add(self, other: Sums) -> None:
        """Make these the sums of both, which share no batch."""
        theirs, ways = other.states(), self.reductions()
        self.set_states(
            {name: added(ways[name], [x, theirs[name].to(x)]) for name, x in self.states().items()}
        )
        self.add_told(other.told())

    def told(self) -> dict[str, Any]:
        """What is said beside the sums."""
        names = ("done", "total", "skipped", "notes", "seconds")
        return {name: getattr(self, name) for name in names}

    def add_told(self, other: Mapping[str, Any]) -> None:
        """Take what another part says in `told`, too."""
        self.done |= other["done"]
        self.total = other["total"] if self.total is None else self.total
        self.skipped += [path for path in other["skipped"] if path not in self.skipped]
        self.notes += [note for note in other["notes"] if note not in self.notes]
        for part, seconds in other["seconds"].items():
            self.seconds[part] = self.seconds.get(part, 0.0) + seconds

    def _metrics(self):
        for k, part in enumerate(self.parts):
            for name, metric in {**part.metrics, "tally": part.tally}.items():
                yield k, name, metric


def added(way: str, values: list[Tensor]) -> Tensor:
    """Values of one state, added up its way."""
    return _WAYS[way](torch.stack(values))


_WORDS = {dim_zero_sum: "sum", dim_zero_min: "min", best_of_parts: "top"}
_WAYS = {"sum": lambda x: x.sum(0), "min": lambda x: x.amin(0), "top": best_of_parts}
