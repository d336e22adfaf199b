"""Batches that exist already: a DataLoader or a tensor, in their own order, untransformed.

Every model gets the same tensors; see PairedLoader for the attributes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader

from vitprobe.data.batch import (
    Batch,
    check_images,
    class_count,
    default_batch_size,
    image_and_label,
)
from vitprobe.data.order import how_many


class LoaderSource:
    """A DataLoader: its order and batches as they are, the same tensors for every model."""

    def __init__(self, loader: DataLoader, models: int, *, examples, passes, note):
        data = loader.dataset
        self.name = getattr(data, "name", None) or type(data).__name__
        self.num_classes = class_count(data)
        self.skipped: list[str] = []
        self.batch_size = loader.batch_size
        self.examples, self.batches_per_pass = _loader_counts(loader, examples)
        self._loader, self._models, self._passes = loader, models, passes
        self._limit, self._note = examples, note

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self._passes):
            yield from self._one_pass()

    def _one_pass(self) -> Iterator[Batch]:
        limit, seen = self._limit or math.inf, 0
        for item in self._loader:
            images, labels = image_and_label(item)
            check_images(images, "the DataLoader")
            keep = min(len(images), limit - seen)
            images, labels = images[:keep], _batch_labels(labels, len(images))
            index = torch.arange(seen, seen + keep)
            labels = None if labels is None else labels[:keep]
            yield Batch(index, (images,) * self._models, labels)
            seen += keep
            if seen >= limit:
                return
        if self._limit is not None and seen < limit:
            self._note(f"asked for {limit} examples, the DataLoader has {seen}: all were used")


class TensorSource:
    """One float tensor (N, C, H, W): batches in its order, taken as they are."""

    def __init__(self, x: torch.Tensor, models: int, *, batch_size, examples, passes):
        check_images(x, "the tensor")
        self.name = "tensor " + "x".join(str(size) for size in x.shape)
        self.num_classes = None
        self.skipped: list[str] = []
        self.examples = how_many(len(x), examples)
        self.batch_size = batch_size or default_batch_size(self.examples)
        self.batches_per_pass = math.ceil(self.examples / self.batch_size)
        self._x, self._models, self._passes = x, models, passes

    def __iter__(self) -> Iterator[Batch]:
        index = torch.arange(self.examples)
        for _ in range(self._passes):
            for rows in index.split(self.batch_size):
                images = self._x[rows[0] : rows[-1] + 1]
                yield Batch(rows, (images,) * self._models, None)


def _batch_labels(labels, count: int) -> torch.Tensor | None:
    if not isinstance(labels, torch.Tensor) or labels.shape != (count,):
        return None
    if labels.is_floating_point() or labels.is_complex() or labels.min() < 0:
        return None
    return labels.cpu().to(torch.int64)


def _loader_counts(loader: DataLoader, limit: int | None) -> tuple[int | None, int | None]:
    """Examples and batches of one pass, as far as they are known without running it."""
    if limit is not None:
        how_many(limit, limit)
    try:
        batches = len(loader)
        total = len(loader.sampler) if loader.batch_size is not None else None
    except TypeError:  # a stream
        batches = total = None
    if total is None:
        return None, batches if limit is None else None
    if loader.drop_last:
        total -= total % loader.batch_size
    examples = how_many(total, limit)
    return examples, math.ceil(examples / loader.batch_size)
