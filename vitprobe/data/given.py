"""Batches that exist already: a DataLoader or a tensor, in their own order, untransformed.

Every model gets the same tensors, or what its forward takes of a DataLoader's batches; see
PairedLoader for the attributes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from torch.utils.data.distributed import DistributedSampler

from vitprobe.data.batch import (
    LABEL_KEYS,
    Batch,
    Wanted,
    check_images,
    class_count,
    default_batch_size,
)
from vitprobe.data.model_input import ModelInput, tensors_of
from vitprobe.data.order import how_many
from vitprobe.data.takes import Takes, is_labels
from vitprobe.errors import InputError

_DRAWN = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
_LISTS = (list, tuple, range, torch.Tensor, np.ndarray)


class LoaderSource:
    """A DataLoader: its order and batches as they are, the same tensors for every model.

    takes: for each model, what it is given of a batch; None: the images.
    """

    def __init__(
        self,
        loader: DataLoader,
        models: int,
        *,
        examples,
        passes,
        note,
        takes: Sequence[Takes] | None = None,
    ):
        data = loader.dataset
        self.name = getattr(data, "name", None) or type(data).__name__
        self.num_classes = class_count(data)
        self.skipped: list[str] = []
        self.batch_size = loader.batch_size
        self.examples, self.batches_per_pass = _loader_counts(loader, examples)
        self._loader, self._passes = loader, passes
        self._takes = takes or [Takes()] * models
        self._limit, self._note = examples, note
        self.total = self.batches_per_pass and self.batches_per_pass * passes
        sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
        self._generator = getattr(sampler, "generator", None)
        self._state = None if self._generator is None else self._generator.get_state()
        self.whole_only = _whole_only(loader, sampler)
        listed = loader.batch_sampler if isinstance(loader.batch_sampler, list) else sampler
        self.order_sha256 = _order_sha256(listed, self._state)

    def numbered(self, wanted: Wanted) -> Iterator[tuple[int, Batch]]:
        if self._generator is not None:
            self._generator.set_state(self._state)
        number = -1
        for number, batch in enumerate(self._all()):
            if wanted(number):
                yield number, batch
            elif self.whole_only:
                raise InputError(f"no part of its batches can be read: {self.whole_only}")
        self.total = number + 1

    def _all(self) -> Iterator[Batch]:
        for _ in range(self._passes):
            yield from self._one_pass()

    def _one_pass(self) -> Iterator[Batch]:
        limit, seen = self._limit or math.inf, 0
        for item in self._loader:
            images = [take(item) for take in self._takes]
            count = _examples(images)
            keep = min(count, limit - seen)
            if keep < count:
                images = [x[:keep] for x in images]
            labels = _batch_labels(_labels_in(item, count), count)
            index = torch.arange(seen, seen + keep)
            labels = None if labels is None else labels[:keep]
            yield Batch(index, tuple(images), labels)
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
        self.total = self.batches_per_pass * passes

    def numbered(self, wanted: Wanted) -> Iterator[tuple[int, Batch]]:
        batches = torch.arange(self.examples).split(self.batch_size) * self._passes
        for number, rows in enumerate(batches):
            if wanted(number):
                images = self._x[rows[0] : rows[-1] + 1]
                yield number, Batch(rows, (images,) * self._models, None)


def _whole_only(loader: DataLoader, sampler) -> str:
    """Why the batches of a DataLoader mean nothing by their numbers, or ""."""
    if isinstance(loader.dataset, IterableDataset):  # that is up to it
        return ""
    batches = loader.batch_sampler
    own = batches if type(batches) not in (BatchSampler, list, type(None)) else sampler
    if not isinstance(own, (SequentialSampler, DistributedSampler, *_DRAWN, *_LISTS)):
        return (
            f"whether the DataLoader's {type(own).__name__} gives the same order each time is not "
            "known; give it sampler=list(...), or none"
        )
    if isinstance(sampler, _DRAWN) and sampler.generator is None:
        return (
            "the DataLoader shuffles, and no two times alike; give it "
            "generator=torch.Generator().manual_seed(0)"
        )
    if isinstance(sampler, DistributedSampler) and sampler.num_replicas > 1:
        return (
            "the DataLoader's DistributedSampler leaves most of the examples out; give it none, "
            "batches are shared among processes here"
        )
    return ""


def _order_sha256(sampler, state: torch.Tensor | None) -> str | None:
    """Of what a DataLoader's order is drawn or read from, in hex; None: it is the data's own."""
    if state is not None:
        return hashlib.sha256(state.numpy().tobytes()).hexdigest()
    if isinstance(sampler, _LISTS):
        numbers = [np.asarray(each).tolist() for each in sampler]
        return hashlib.sha256(repr(numbers).encode()).hexdigest()
    return None


def _examples(images: list) -> int:
    """How many there are, the same for every model."""
    for x in images:
        if not isinstance(x, ModelInput):
            check_images(x, "the DataLoader")
        for tensor in tensors_of(x):
            if tensor.dtype == torch.uint8 and tensor.ndim == 4:
                check_images(tensor, "the DataLoader")
    if len({len(x) for x in images}) > 1:
        given = " and ".join(dict.fromkeys(f"{len(x)} examples" for x in images))
        raise InputError(f"the models take {given} of the same batch of the DataLoader")
    return len(images[0])


def _labels_in(item: Any, count: int) -> Any:
    """Of a mapping, what is called so; of a tuple, its second element, or else its last."""
    if isinstance(item, Mapping):
        return next((item[key] for key in LABEL_KEYS if key in item), None)
    if not isinstance(item, (list, tuple)):
        return None
    return next((x for x in (*item[1:2], item[-1]) if is_labels(x) and len(x) == count), None)


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
