"""One analysis in a pass over the images: what it wants, and what it keeps of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import xarray as xr
from torch import Tensor
from torchmetrics import Metric

from vitprobe.passes.inputs import Inputs
from vitprobe.passes.surveyed import Surveyed
from vitprobe.passes.wants import Want


@dataclass(frozen=True)
class Batch:
    """number: over all passes, from 0. n: how many examples. labels: (n,) int64, or None. index:
    (n,) int64, which examples of the data they are, from 0 in stored order (of a stream or a
    DataLoader: as they come, in each pass)."""

    number: int
    n: int
    labels: Tensor | None = None
    index: Tensor | None = None


@dataclass
class Ran:
    """What a pass did, as far as its results tell it.

    examples, batches: that counted for the reader. passes: times through the examples. device: its
    name. seconds: by part. notes: what a reader of the results should know. tolerance: below which
    every standard error was, where the run ended with that, before the last example. incomplete:
    whether batches are missing for another reason.
    """

    examples: int
    batches: int
    passes: int
    device: str
    seconds: Mapping[str, float]
    notes: list[str] = field(default_factory=list)
    tolerance: float | None = None
    incomplete: bool = False

    @property
    def attributes(self) -> dict[str, Any]:
        """As attributes of a result, but for the notes."""
        return {
            "examples": self.examples // self.passes,
            "batches": self.batches,
            "device": self.device,
            **({} if self.tolerance is None else {"tolerance": self.tolerance}),
            **({"incomplete": 1} if self.incomplete else {}),
            **{f"seconds_{part}": round(value, 4) for part, value in self.seconds.items()},
        }


def largest_finite(*errors: Tensor) -> float:
    """The largest number in these, of any shapes; NaN: none of them is finite."""
    found = torch.cat([each.reshape(-1) for each in errors])
    found = found[found.isfinite()]
    return found.max().item() if len(found) else torch.nan


class Reader:
    """What an analysis is to a pass.

    `begin` is shown the models, and says what is wanted of them; that comes inside the forwards of
    each batch, between `start` and `finish`. A reader keeps nothing of it but sums, in `metrics`:
    so the pass can save them, add them up and go on from them without knowing what they are.

    What a result needs beside the sums is in `about`, as JSON can hold it: a result is made of the
    two, also where the models are not at hand.

    Class attributes:
        analysis: its name, that of its file in `analyses`.
        version: of what the sums mean; raised with every change, so that older ones are refused.
        least: examples that a batch must have to count; the others are dropped, and that is said.
        distinct: how many distinct images `begin` needs.
    """

    analysis: ClassVar[str]
    version: ClassVar[int] = 1
    least: ClassVar[int] = 1
    distinct: ClassVar[int] = 4

    about: dict[str, Any]
    metrics: Mapping[str, Metric]  # made by the pass, with `metrics_of`, after `begin`

    def facts(self, inputs: Inputs) -> list[dict[str, Any]]:
        """For each result, what decides its numbers and is known before them, as attributes."""
        raise NotImplementedError

    def begin(self, models: Sequence[Surveyed], inputs: Inputs, notes: list[str]) -> Sequence[Want]:
        """Sets `about`, of which the pass makes the metrics; says what is wanted.

        notes: for what a reader of the result should know.

        Raises:
            InputError: a selection that matches nothing, a model that cannot be read so.
        """
        raise NotImplementedError

    @classmethod
    def metrics_of(cls, about: Mapping[str, Any]) -> dict[str, Metric]:
        """The sums of `about`, all zero. Also made on the device `meta`, to count their bytes."""
        raise NotImplementedError

    def start(self, batch: Batch) -> None:
        """A batch of `least` examples or more comes."""

    @contextmanager
    def during_forward(self, subject: int) -> Iterator[None]:
        """Around the forward of one model, given by its place among `Inputs.subjects`."""
        yield

    def finish(self) -> None:
        """All models were shown the batch: add what came to the sums."""

    def bytes_of_batch(self, n: int) -> int:
        """What a batch of n examples and looking at the result need beside the sums, at most: on
        the device of the metrics, whose shapes are known."""
        return 0

    def less(self) -> str:
        """What to ask for so that its sums need less memory, `fewer layers (--layers blocks)`; "":
        nothing helps."""
        return ""

    @classmethod
    def largest_error(cls, metrics: Mapping[str, Metric]) -> float:
        """The largest standard error of all values so far; NaN where there is none yet."""
        return torch.nan

    @classmethod
    def results(
        cls, about: Mapping[str, Any], metrics: Mapping[str, Metric], ran: Ran
    ) -> list[xr.Dataset]:
        """One Dataset for each of `facts`, whose attributes come in `about["facts"]`.

        Raises:
            InputError: there was nothing to make them of.
        """
        raise NotImplementedError
