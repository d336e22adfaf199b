"""Images that are decoded for each pass anew, by worker processes, ahead of need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from vitprobe.data import ImageData, Transform
from vitprobe.errors import InputError


class Stream:
    """`batches(order)`: uint8 (b, 3, H, W) in main memory, pinned where asked for.

    The worker processes are started once and serve all passes, one pass at a time.
    """

    def __init__(
        self, data: ImageData, rows, transform: Transform, *, workers: int, pin_memory: bool
    ):
        self._order = _Order()
        self._loader = DataLoader(
            _Pixels(data, rows, transform),
            batch_sampler=self._order,
            collate_fn=_stack,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            generator=torch.Generator(),  # the worker seeds come from here, not from the caller's
        )

    def batches(self, order: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        """One batch for each tensor of positions; raises CorruptImage, and then ends for good."""
        self._order.batches = [part.tolist() for part in order]
        error = None
        for images in self._loader:
            if isinstance(images, InputError):
                error = images
                break
            yield images
        if error is not None:
            # The workers are told to end now: the garbage collector may take their queues first,
            # and then it waits five seconds for each of them.
            del self._loader
            raise error


class _Order:
    """A batch sampler whose batches change from pass to pass under the same workers."""

    batches: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _Pixels(Dataset):
    """position -> uint8 array (H, W, 3), or the InputError.

    Errors travel as values: raised in a worker process, they would come back with its traceback
    for a message.
    """

    def __init__(self, data: ImageData, rows, transform: Transform):
        self.data, self.rows, self.transform = data, rows, transform

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int):
        try:
            return self.transform.pixels(self.data.decode(int(self.rows[position])))
        except InputError as error:
            return error


def _stack(items: list):
    error = next((item for item in items if isinstance(item, InputError)), None)
    return error or torch.from_numpy(np.stack([image.transpose(2, 0, 1) for image in items]))
