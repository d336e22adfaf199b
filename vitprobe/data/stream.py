"""Images that come one after the other, and cannot be asked for by number."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from operator import itemgetter

from torch.utils.data import IterableDataset

from vitprobe.data.batch import Batch, Wanted, class_count, default_batch_size
from vitprobe.data.images import ImageStream
from vitprobe.data.order import check_order, how_many
from vitprobe.data.transforms import Transform
from vitprobe.data.views import Views, collate
from vitprobe.errors import InputError

AS_GIVEN = "as given"


def is_stream(data) -> bool:
    """Whether data can be iterated over but not read by number: torch's or Hugging Face's
    IterableDataset, a generator, or anything with `__iter__` alone."""
    if isinstance(data, IterableDataset):
        return True
    by_number = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    return hasattr(data, "__iter__") and not by_number


class StreamSource:
    """Gives batches over all passes; see PairedLoader for the attributes.

    `index` is the example's place in the pass. Reading is done here, whatever `workers`: so the
    examples and their order do not depend on it. `workers` threads decode and transform ahead. What
    is not wanted is read on the way, and not decoded.
    """

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
        note: Callable[[str], None],
    ):
        self.name = getattr(data, "name", None) or type(data).__name__
        self.num_classes = class_count(data)
        self.skipped: list[str] = []
        self.order = self._order(data, order, seed, note)
        self._once = data.once if isinstance(data, ImageStream) else hasattr(data, "__next__")
        if self._once and passes > 1:
            raise InputError(
                f"{self.name} can be read once only: give data that can be iterated over again, "
                "or one pass"
            )
        self.examples = _length(data) if examples is None else how_many(examples, examples)
        self.batch_size = batch_size or default_batch_size(self.examples or 0)
        self.batches_per_pass = self.examples and math.ceil(self.examples / self.batch_size)
        self._data, self.views = data, Views(self.name, transforms)
        self._limit, self._passes, self._workers = examples, passes, workers
        self._asked, self._skip_bad, self._note = (order, seed), skip_bad_images, note
        self._begun = False
        self.total: int | None = None

    def _order(self, data, order: str, seed: int, note: Callable[[str], None]) -> str:
        check_order(order, seed)
        if not isinstance(data, ImageStream):
            return AS_GIVEN
        if order == "file":
            return order
        note(
            f"{self.name} is read as a stream: order shuffled within a buffer of {data.buffer:,}, "
            f"seed {seed}"
        )
        return f"seeded, within a buffer of {data.buffer}"

    def numbered(self, wanted: Wanted) -> Iterator[tuple[int, Batch | None]]:
        if self._once and self._begun:
            raise InputError(
                f"{self.name} can be read once only, and was: give data that can be iterated "
                "over again"
            )
        self._begun = True
        total = 0
        for k in range(self._passes):
            total = yield from self._one_pass(k, total, wanted)
        self.total = total

    def _one_pass(
        self, k: int, first: int, wanted: Wanted
    ) -> Generator[tuple[int, Batch | None], None, int]:
        """Batches from the number `first` on; returns the number after the last."""
        count = 0

        def chosen() -> Iterator[tuple[int, int, object]]:
            nonlocal count
            for index, item in islice(self._items(k), self._limit):
                number = first + count // self.batch_size
                count += 1
                if wanted(number):
                    yield number, index, item

        for number, some in groupby(self._viewed(chosen()), itemgetter(0)):
            collated = collate([view for _, view in some])
            yield number, self.views.batch(collated, self.skipped, self._skip_bad)
        if not count:
            again = " in a second pass: it can be read once only" if k else ""
            raise InputError(f"{self.name} gave no images{again}")
        if count < (self._limit or 0):
            self._note(f"asked for {self._limit} examples, {self.name} has {count}: all were used")
        return first + math.ceil(count / self.batch_size)

    def _items(self, k: int) -> Iterator[tuple[int, object]]:
        if isinstance(self._data, ImageStream):
            yield from enumerate(self._data.encoded(*self._asked, k))
            return
        if self._passes > 1 and hasattr(self._data, "set_epoch"):  # it shuffles anew by that
            self._data.set_epoch(k)
        index = -1
        try:
            for index, item in enumerate(self._data):
                yield index, item
        except OSError as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{self.name} broke off after {index + 1} examples ({reason})"
            ) from error

    def _viewed(self, items: Iterator[tuple[int, int, object]]) -> Iterator[tuple[int, object]]:
        """(batch's number, view) of (batch's number, index, item)."""
        if not self._workers:
            yield from ((number, self.views.of(index, item)) for number, index, item in items)
            return
        with ThreadPoolExecutor(self._workers) as pool:
            ahead: deque = deque()

            def next_one() -> tuple[int, object]:
                number, view = ahead.popleft()
                return number, view.result()

            for number, index, item in items:
                ahead.append((number, pool.submit(self.views.of, index, item)))
                if len(ahead) > self.batch_size:
                    yield next_one()
            while ahead:
                yield next_one()


def _length(data) -> int | None:
    try:
        return len(data)
    except (TypeError, NotImplementedError):
        return None
