"""The training batches: which images, in which order, varied how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vitprobe.passes.processes import Processes
from vitprobe.training.augment import Augment
from vitprobe.training.images import TrainingImages
from vitprobe.training.mix import Mix
from vitprobe.training.rng import seed_all


@dataclass(frozen=True)
class TrainingBatch:
    """images: (b, 3, H, W), normalised. targets: int64 (b,), or (b, classes). Both in the feed's
    dtype.

    whole: images in the batch of all processes. share: this process's part of it, times the number
    of processes: what its mean loss counts in the mean over processes.
    """

    images: Tensor
    targets: Tensor
    whole: int
    share: float


class Feed:
    """Batches that (seed, epoch, step) alone decide: nothing of them needs to be kept.

    Each epoch takes every image once, in a new permutation; the last batch may be short, but a
    single image joins the batch before it, since batch norm may need two. Several processes each
    get their part of the same batches, varied as in one process.
    """

    def __init__(
        self,
        images: TrainingImages,
        augment: Augment,
        mix: Mix | None,
        *,
        batch_size: int,
        seed: int,
        processes: Processes,
        dtype: torch.dtype = torch.float32,
    ):
        self.dtype = dtype
        self.images, self.augment, self.mix = images, augment, mix
        self.batch_size, self.seed, self.processes = batch_size, seed, processes
        self.steps = len(self._split(torch.arange(len(images))))

    def epoch(self, epoch: int, first: int = 0) -> Iterator[TrainingBatch]:
        """The batches of an epoch (0, 1, ...) from step `first` of it."""
        order = torch.randperm(len(self.images), generator=generator(self.seed, epoch))
        batches = self._split(order)[first:]
        rows = [self._rows(len(batch)) for batch in batches]
        mine = [batch[r] for batch, r in zip(batches, rows, strict=True)]
        found = zip(batches, rows, self.images.batches(mine), strict=True)
        for step, (batch, r, (images, labels)) in enumerate(found, start=first):
            yield self._varied(len(batch), r, images, labels, generator(self.seed, epoch, step))

    def _split(self, order: Tensor) -> list[Tensor]:
        *batches, last = order.split(self.batch_size)
        if batches and len(last) == 1 < self.batch_size:
            last = torch.cat([batches.pop(), last])
        return [*batches, last]

    def _rows(self, n: int) -> Tensor:
        """The rows that this process needs of a batch of n: one at least, and those to mix with."""
        part = self.processes.part(n)
        if part.start == part.stop:  # more processes than images: taken along, but not counted
            part = slice(0, 1)
        if self.mix is None:
            return torch.arange(part.start, part.stop)
        return self.mix.partner_rows(part.start, part.stop, n)

    def _varied(
        self, n: int, rows: Tensor, images: Tensor, labels: Tensor, random
    ) -> TrainingBatch:
        images, targets = self.augment(images, self.augment.draw(n, random)[rows]), labels
        if self.mix is not None:
            images, targets = self.mix(images, labels, self.mix.draw(random))
        part = self.processes.part(n)
        if targets.is_floating_point():
            targets = targets.to(self.dtype)
        share = (part.stop - part.start) / n * self.processes.count
        return TrainingBatch(images.to(self.dtype), targets, n, share)


def generator(*numbers: int) -> torch.Generator:
    """A CPU generator that these numbers alone decide."""
    return torch.Generator().manual_seed(_seed(*numbers))


def seed_step(*numbers: int) -> None:
    """Seed all that a model may draw from (dropout, stochastic depth) by these numbers."""
    seed_all(_seed(*numbers))


def _seed(*numbers: int) -> int:
    # a spawn key, since NumPy takes (1,) and (1, 0) for the same entropy
    first, *others = numbers
    sequence = np.random.SeedSequence(first, spawn_key=others)
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)
