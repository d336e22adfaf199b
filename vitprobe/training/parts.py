"""Three parts of the images: to train on, to choose the best epoch by, and to test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vitprobe.data import ImageData, ImageStream, load_data
from vitprobe.errors import InputError, option
from vitprobe.training.classes import with_classes_of
from vitprobe.training.settings import Settings
from vitprobe.training.split import split_rows

HELD_OUT = 0.2  # of a set that comes without a test part


@dataclass(frozen=True)
class Part:
    """Rows (int64) of a data set."""

    data: ImageData
    rows: Tensor

    @property
    def labels(self) -> np.ndarray:
        return self.data.labels[self.rows.numpy()]


@dataclass(frozen=True)
class Parts:
    """train and validation are drawn from the training images, and test is not; a line of note."""

    train: Part
    validation: Part
    test: Part
    note: str

    @property
    def sizes(self) -> dict[str, int]:
        """Images of each part."""
        return {key: len(getattr(self, key).rows) for key in ("train", "validation", "test")}

    @property
    def class_names(self) -> list[str]:
        return self.train.data.class_names


def open_parts(settings: Settings) -> Parts:
    """The data set's three parts, disjoint and in every class.

    A set without a test part of its own (`npz:`, `wds:`, a folder of classes) and no
    `test_dataset`: a fifth of it, in every class, is put aside first, the same for every seed.

    Raises InputError for data that cannot be had, has no labels, a single class or too few images,
    or whose classes differ from the test's (see `with_classes_of`) or from `num_classes`.
    """
    read = {key: getattr(settings, key) for key in ("data_dir", "max_pixels", "ignore_orientation")}
    train = load_data(settings.dataset, split="train", **read)
    test = load_data(settings.test_dataset or settings.dataset, split="test", **read)
    for data in (train, test):
        if isinstance(data, ImageStream):
            raise InputError(
                f"{data.name} is read as a stream, and training draws images by number: use tar "
                "files on a disk, uncompressed"
            )
    _check_labels(train, test, settings)
    test, unlike = with_classes_of(train, test)
    rows, note = np.arange(len(train)), ""
    test_rows = torch.arange(len(test))
    same = same_images(train, test)
    if same and settings.test_dataset is not None:
        raise InputError(
            f"{option('test_dataset')} {settings.test_dataset} holds the very images of "
            f"{train.name} that are trained on: name others, or leave it out"
        )
    if same:
        kept, test_rows = split_rows(train.labels, validation=HELD_OUT, fraction=1.0, seed=0)
        rows = kept.numpy()
        note = (
            f"{train.name} has no test part: {len(test_rows)} of its images are kept for the test "
            f"({option('test_dataset')} names other ones)"
        )
    chosen, validation = split_rows(
        train.labels[rows],
        validation=settings.validation,
        fraction=settings.fraction,
        seed=settings.seed,
    )
    rows = torch.from_numpy(rows)
    parts = Parts(
        Part(train, rows[chosen]),
        Part(train, rows[validation]),
        Part(test, test_rows),
        "; ".join(filter(None, (note, unlike, *train.notes))),
    )
    _check_enough(parts)
    return parts


def _check_enough(parts: Parts) -> None:
    name = parts.train.data.name
    if len(np.unique(parts.train.labels)) < 2:
        raise InputError(f"{name} has images of one class only: a classifier needs two or more")
    empty = next((key for key, count in parts.sizes.items() if not count), None)
    if empty:
        raise InputError(f"{name} has too few images: none is left for {empty} (got {parts.sizes})")


def _check_labels(train: ImageData, test: ImageData, settings: Settings) -> None:
    if settings.num_classes not in (None, train.num_classes):
        raise InputError(
            f"{train.name} has {train.num_classes} classes, but {option('num_classes')} "
            f"{settings.num_classes} was given: leave it out, or name other data"
        )
    if (test.labels < 0).any() and not (train.labels < 0).any():  # of those, split_rows speaks
        raise InputError(f"{test.name} has images without a label: accuracy needs labels")


def same_images(train: ImageData, test: ImageData) -> bool:
    """Whether both parts are one whole set, which knows no parts."""
    if train.name.startswith("npz:") and test.name.startswith("npz:"):
        return Path(train.name[4:]).resolve() == Path(test.name[4:]).resolve()
    paths = getattr(train, "paths", None)
    return paths is not None and paths == getattr(test, "paths", None)
