"""The examples of stored features: models are given their numbers, and read what they want."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from vitprobe.data.batch import Batch, Wanted, default_batch_size
from vitprobe.data.order import example_order


class Rows:
    """`count` examples, known by their numbers alone. notes: what is to be said of them."""

    name = "stored features"

    def __init__(self, count: int, notes: Sequence[str] = ()):
        self.count, self.notes = count, list(notes)

    def __len__(self) -> int:
        return self.count


class RowSource:
    """Batches of numbers, int64 (b,), the same for every model, in the order of a data set of
    images; see PairedLoader for the attributes."""

    num_classes = None

    def __init__(
        self,
        data: Rows,
        models: int,
        *,
        batch_size: int | None,
        examples: int | None,
        passes: int,
        order: str,
        seed: int,
    ):
        self.name, self.order = data.name, order
        self.skipped: list[str] = []
        orders = [
            example_order(len(data), order=order, seed=seed, pass_index=k, examples=examples)
            for k in range(passes)
        ]
        self.shown = orders[0]
        self.examples = len(self.shown)
        self.batch_size = batch_size or default_batch_size(self.examples)
        self.batches_per_pass = math.ceil(self.examples / self.batch_size)
        self._batches = [rows for order in orders for rows in order.split(self.batch_size)]
        self.total = len(self._batches)
        self._models = models

    def numbered(self, wanted: Wanted) -> Iterator[tuple[int, Batch]]:
        for number, rows in enumerate(self._batches):
            if wanted(number):
                yield number, Batch(rows, (rows,) * self._models, None)
