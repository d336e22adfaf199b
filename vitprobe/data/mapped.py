"""A map-style data set: each image decoded once per pass, and transformed for each model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from numbers import Integral

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from vitprobe.data.batch import (
    Batch,
    check_images,
    class_count,
    default_batch_size,
    image_and_label,
)
from vitprobe.data.images import CorruptImage
from vitprobe.data.order import example_order
from vitprobe.data.transforms import Transform
from vitprobe.errors import InputError


class MapSource:
    """Yields `Batch` over all passes; see PairedLoader for the attributes."""

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
        try:
            n = len(data)
        except TypeError as error:
            raise InputError(f"{self.name} has no length: wrap it in a DataLoader") from error
        orders = [
            example_order(n, order=order, seed=seed, pass_index=k, examples=examples)
            for k in range(passes)
        ]
        self.examples = len(orders[0])
        self.batch_size = batch_size or default_batch_size(self.examples)
        self.batches_per_pass = math.ceil(self.examples / self.batch_size)
        self._batches = [rows.tolist() for order in orders for rows in order.split(self.batch_size)]
        distinct = list(dict.fromkeys(transforms))
        self._slots = [distinct.index(transform) for transform in transforms]
        self._views = _Views(data, self.name, distinct)
        self._workers, self._skip_bad = workers, skip_bad_images

    def __iter__(self) -> Iterator[Batch]:
        loader = DataLoader(
            self._views,
            batch_sampler=self._batches,
            collate_fn=_collate,
            num_workers=self._workers,
            generator=torch.Generator(),  # the worker seeds come from here, not from the caller's
        )
        for index, images, labels, errors in loader:
            for error in errors:
                if not (self._skip_bad and isinstance(error, CorruptImage)):
                    raise error
                if error.path not in self.skipped:
                    self.skipped.append(error.path)
            if len(index):
                # one view for all: float tensors, which no transform touches
                slots = self._slots if len(images) > 1 else [0] * len(self._slots)
                yield Batch(index, tuple(images[slot] for slot in slots), labels)


class _Views(Dataset):
    """index -> (index, one tensor for each distinct transform, label), or the InputError.

    Errors travel as values: raised in a worker process, they would come back with its traceback
    for a message.
    """

    def __init__(self, data, name: str, transforms: list[Transform]):
        self.data, self.name, self.transforms = data, name, transforms

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int):
        try:
            image, label = image_and_label(self.data[index])
            if isinstance(image, torch.Tensor):
                check_images(image, self.name, "(C, H, W)")
                return index, (image,), _label(label)
            return index, tuple(t(image) for t in self.transforms), _label(label)
        except InputError as error:
            return error
        except OSError as error:  # Pillow's, from a data set that opens files itself
            return CorruptImage(f"number {index} of {self.name}", error)


def _collate(items: list) -> tuple:
    errors = [item for item in items if isinstance(item, InputError)]
    good = [item for item in items if not isinstance(item, InputError)]
    columns = list(zip(*(views for _, views, _ in good), strict=True)) if good else []
    sizes = next((s for s in ({x.shape for x in c} for c in columns) if len(s) > 1), None)
    if sizes:
        few = ", ".join("x".join(map(str, size)) for size in sorted(sizes)[:3])
        errors.append(
            InputError(f"the images differ in size ({few}): give an image size (--image-size)")
        )
        return torch.empty(0, dtype=torch.int64), (), None, errors
    labels = [label for _, _, label in good]
    known = bool(labels) and None not in labels
    return (
        torch.tensor([index for index, _, _ in good], dtype=torch.int64),
        tuple(_stack(column) for column in columns),
        torch.tensor(labels, dtype=torch.int64) if known else None,
        errors,
    )


def _stack(column: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """torch.stack, for the usual case on one thread (see Transform): a copy needs no more."""
    if column[0].dtype != torch.float32 or column[0].is_cuda:
        return torch.stack(column)
    return torch.from_numpy(np.stack([x.detach().numpy() for x in column]))


def _label(label) -> int | None:
    """A class index, or None for anything else (unknown, a float, one-hot)."""
    if isinstance(label, torch.Tensor) and label.ndim == 0 and not label.is_floating_point():
        label = label.item()
    return int(label) if isinstance(label, Integral) and label >= 0 else None
