"""A map-style data set: each image decoded once per pass, and transformed for each model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import DataLoader, Dataset

from vitprobe.data.batch import Batch, Wanted, class_count, default_batch_size
from vitprobe.data.decode import CorruptImage
from vitprobe.data.order import example_order
from vitprobe.data.transforms import Transform
from vitprobe.data.views import Views, collate
from vitprobe.errors import InputError


class MapSource:
    """Gives batches over all passes; see PairedLoader for the attributes."""

    def __init__(
        self,
        data,
        transforms: Sequence[Transform],
        *,
        batch_size: int | None,
        examples: int | None,
        passes: int,
        order: str,
        seed: int,
        workers: int,
        skip_bad_images: bool,
    ):
        self.name = getattr(data, "name", None) or type(data).__name__
        self.num_classes = class_count(data)
        self.skipped: list[str] = []
        self.order = order
        try:
            n = len(data)
        except TypeError as error:
            raise InputError(f"{self.name} has no length: wrap it in a DataLoader") from error
        orders = [
            example_order(n, order=order, seed=seed, pass_index=k, examples=examples)
            for k in range(passes)
        ]
        self.shown = orders[0]
        self.examples = len(orders[0])
        self.batch_size = batch_size or default_batch_size(self.examples)
        self.batches_per_pass = math.ceil(self.examples / self.batch_size)
        self._batches = [rows.tolist() for order in orders for rows in order.split(self.batch_size)]
        self.total = len(self._batches)
        self.views = Views(self.name, transforms)
        self._examples = _Examples(data, self.views)
        self._workers, self._skip_bad = workers, skip_bad_images

    def numbered(self, wanted: Wanted) -> Iterator[tuple[int, Batch | None]]:
        numbers = [number for number in range(self.total) if wanted(number)]
        loader = DataLoader(
            self._examples,
            batch_sampler=[self._batches[number] for number in numbers],
            collate_fn=collate,
            num_workers=self._workers,
            generator=torch.Generator(),  # the worker seeds come from here, not from the caller's
        )
        for number, collated in zip(numbers, loader, strict=True):
            yield number, self.views.batch(collated, self.skipped, self._skip_bad)


class _Examples(Dataset):
    """index -> what `Views.of` gives."""

    def __init__(self, data, views: Views):
        self.data, self.views = data, views

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int):
        try:
            item = self.data[index]
        except InputError as error:
            return error
        except OSError as error:  # Pillow's, from a data set that opens files itself
            return CorruptImage(f"number {index} of {self.views.name}", error)
        return self.views.of(index, item)
