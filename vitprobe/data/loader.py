"""One pass over the images for several models: each is read once and shown to each model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from vitprobe.data.arrays import from_array
from vitprobe.data.batch import Batch, Wanted
from vitprobe.data.given import LoaderSource, TensorSource
from vitprobe.data.images import ImageData, ImageStream
from vitprobe.data.mapped import MapSource
from vitprobe.data.named import load_data
from vitprobe.data.rows import Rows, RowSource
from vitprobe.data.stream import AS_GIVEN, StreamSource, is_stream
from vitprobe.data.takes import Takes
from vitprobe.data.transforms import Transform
from vitprobe.errors import InputError, VitprobeWarning, option
from vitprobe.text import printable


class PairedLoader:
    """Iterates `Batch(index, images, labels)`; `images[k]` is made by the k-th transform.

    Batches are numbered from 0 over all passes: `numbered` gives a part of them.

    data: a name (see `load_data`), an ImageData, or any map-style data set of images (PIL images
        or uint8 arrays (H, W[, 1|3]) are transformed, float tensors (C, H, W) are taken as they
        are) or of (image, label, ...): read in the order that `example_order` gives. A uint8 array
        (N, H, W[, 1|3]): such a data set. An IterableDataset, or anything that can only be iterated
        over: of the same items, in its own order. A DataLoader: its order and batches, of which
        each model gets the images, or what `takes` says. A float tensor or array (N, C, H, W): in
        its order, as it is. `Rows`, of stored features: their numbers, in the order of
        `example_order`.
    transforms: one for each model; fields that are None take a named data set's values.
    batch_size: None: 32 to 256, so that there are eight batches or more where possible. A
        DataLoader keeps its own.
    examples: how many in each pass (the first of the order); None: all.
    passes: a seeded order draws anew in each pass.
    workers: processes that decode; 0: this one. Of a stream: threads.
    takes: for each model, what it is given of a DataLoader's batch; None: the images.
    skip_bad_images: leave unreadable images out and list them, instead of raising CorruptImage.
    labels: what the models are called, for notes.

    Attributes: `name`; `num_classes` (None: unknown); `examples` and `batches_per_pass` (None:
    not known in advance; of a stream the most there can be); `total` (batches of all passes, None:
    not known before they were gone through); `batch_size`; `passes`; `order`
    ("seeded", "file", "as given", or how far a stream's order is seeded); `transforms` (as used);
    `notes` (what a reader of the result should know); `skipped` (paths of bad images so far).
    Raises InputError for data it cannot read and numbers that cannot be.
    """

    def __init__(
        self,
        data,
        transforms: Sequence[Transform],
        *,
        batch_size: int | None = None,
        examples: int | None = None,
        passes: int = 1,
        order: str = "seeded",
        seed: int = 0,
        workers: int = 0,
        skip_bad_images: bool = False,
        takes: Sequence[Takes] | None = None,
        labels: Sequence[str] = (),
    ):
        _at_least("batch_size", 1 if batch_size is None else batch_size, 1)
        _at_least("passes", passes, 1)
        _at_least("workers", workers, 0)
        self.notes: list[str] = []
        if isinstance(data, str):
            data = load_data(data)
        elif isinstance(data, np.ndarray):
            data = from_array(data)
        if isinstance(data, (ImageData, ImageStream)):
            own = {"image_size": data.image_size, "mean": data.mean, "std": data.std}
            transforms = [transform.filled(**own) for transform in transforms]
        if isinstance(data, (ImageData, ImageStream, Rows)):
            for text in data.notes:
                self._note(text)
        self.transforms, self.passes = tuple(transforms), passes
        self._data, self._labels = data, labels
        self._checked = False  # of this data, once: what is read first may be a part of it
        models = len(self.transforms)
        read = {
            "batch_size": batch_size,
            "examples": examples,
            "passes": passes,
            "order": order,
            "seed": seed,
            "workers": workers,
            "skip_bad_images": skip_bad_images,
        }
        if isinstance(data, DataLoader):
            self._source = LoaderSource(
                data, models, examples=examples, passes=passes, note=self._note, takes=takes
            )
        elif isinstance(data, torch.Tensor):
            self._source = TensorSource(
                data, models, batch_size=batch_size, examples=examples, passes=passes
            )
        elif isinstance(data, Rows):
            one_by_one = {"workers", "skip_bad_images"}
            self._source = RowSource(data, models, **{k: read[k] for k in read.keys() - one_by_one})
        elif isinstance(data, Mapping):  # such as Hugging Face's DatasetDict
            names = ", ".join(map(str, data))
            raise InputError(f"{type(data).__name__} holds several data sets: give one ({names})")
        elif is_stream(data):
            self._source = StreamSource(data, self.transforms, **read, note=self._note)
        elif hasattr(data, "__getitem__"):
            self._source = MapSource(data, self.transforms, **read)
        else:
            raise InputError(f"{type(data).__name__} cannot be read: give a data set of images")
        self.name = printable(self._source.name, longest=None)
        self.num_classes = self._source.num_classes
        self.examples = self._source.examples
        self.batches_per_pass = self._source.batches_per_pass
        self.batch_size = self._source.batch_size
        self.skipped = self._source.skipped
        self.order = getattr(self._source, "order", AS_GIVEN)

    @property
    def data(self) -> Any:
        """What is read: of a name the data set, else what was given."""
        return self._data

    @property
    def shown(self) -> torch.Tensor | None:
        """int64 (examples,): which examples of the data the first pass shows, as `Batch.index` has
        them; None: that is not known in advance."""
        if self.examples is None:
            return None
        return getattr(self._source, "shown", torch.arange(self.examples))

    @property
    def contents(self) -> dict[str, Any]:
        """What tells these data from others of their name: `data_images` (how many there are to
        choose from; None: not known), of named ones `data_sha256` (see `ImageData.sha256`), of a
        DataLoader `order_sha256` where its order is not that of its data."""
        data = self._data.dataset if isinstance(self._data, DataLoader) else self._data
        try:
            count = len(data)
        except (TypeError, NotImplementedError):  # a stream
            count = None
        digest = data.sha256 if isinstance(data, ImageData) else None
        order = getattr(self._source, "order_sha256", None)
        return {"data_images": count, "data_sha256": digest, "order_sha256": order}

    @property
    def whole_only(self) -> str:
        """Why no part of its batches can be read, or "": a DataLoader's order may be another each
        time."""
        return getattr(self._source, "whole_only", "")

    @property
    def total(self) -> int | None:
        """Batches of all passes; None where that is not known before they were gone through."""
        return self._source.total

    def __iter__(self) -> Iterator[Batch]:
        return (batch for _, batch in self.numbered() if batch is not None)

    def numbered(self, wanted: Wanted = lambda number: True) -> Iterator[tuple[int, Batch | None]]:
        """(number, batch) of those batches whose number is wanted, in order.

        Others are not read, where data can be asked for by number. None: all images of the batch
        were skipped. Every call begins with the first pass, and numbers the same batches alike.

        Raises:
            InputError: a part is wanted of a DataLoader that shuffles without a generator of its
                own, or that has a DistributedSampler.
        """
        for number, batch in self._source.numbered(wanted):
            if batch is not None and not self._checked:
                self._check_classes(batch.labels)
                self._check_normalised()
                self._checked = True
            yield number, batch

    def _check_classes(self, labels: torch.Tensor | None) -> None:
        """Warns of a first batch with under half of the classes of a random draw of its size."""
        if labels is None or not self.num_classes:
            return
        shares = torch.full((self.num_classes,), 1 / self.num_classes, dtype=torch.float64)
        if isinstance(self._data, ImageData):  # some classes may be rare, or not there at all
            known = torch.from_numpy(self._data.labels[self._data.labels >= 0])
            shares = known.bincount(minlength=self.num_classes).double() / len(known)
        expected = float((1 - (1 - shares) ** len(labels)).sum())
        found = len(labels.unique())
        if found < expected / 2:
            self._note(
                f"the first batch ({len(labels)} images) shows {found} of {self.num_classes} "
                f"classes, where a random one shows about {expected:.0f}: batches sorted by class "
                "measure similarity within a class; shuffle the examples"
            )

    def _check_normalised(self) -> None:
        """Says which models get images whose pixels nobody said how to normalise."""
        views = getattr(self._source, "views", None)
        if views is None or not views.transformed:
            return
        open_ends = [
            transform.mean is None or transform.std is None for transform in self.transforms
        ]
        for label, is_open in zip(self._labels, open_ends, strict=False):
            if is_open:
                self._note(
                    f"{label}: no mean and std are known of it or of the images, whose pixels it "
                    f"gets as 0..1: give {option('mean')} and {option('std')}"
                )

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
            warnings.warn(text, VitprobeWarning, stacklevel=2)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"{name} must be {least} or more, got {value}")
