"""The classes of the test images are those of the training images: by name, never by place."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from vitprobe.data import ImageData
from vitprobe.data.layout import listed
from vitprobe.errors import InputError


def with_classes_of(train: ImageData, test: ImageData) -> tuple[ImageData, str]:
    """The test images with the training images' class names and indices, and a note or "".

    Classes are matched by name, in whatever order either set has them (of sets that know numbers
    alone, the numbers are the names). Classes of which there is a training image and no test image
    are noted.

    Raises:
        InputError: test images of a class without training images, or names that are not distinct
            where the two lists differ.
    """
    if test.class_names != train.class_names:
        for data in (train, test):
            if len(set(data.class_names)) < data.num_classes:
                raise InputError(
                    f"classes of {data.name} share a name, and cannot be told apart in another "
                    "set: rename them"
                )
        place = {name: index for index, name in enumerate(train.class_names)}
        indices = np.array([place.get(name, -1) for name in test.class_names], dtype=np.int64)
    else:
        indices = np.arange(test.num_classes)
    trained, tested = _occurring(train), _occurring(test)
    reached = {int(indices[own]) for own in tested}
    missed = [train.class_names[own] for own in trained if own not in reached]
    unknown = [test.class_names[own] for own in tested if int(indices[own]) not in trained]
    if unknown:
        others = f", only the training images of {train.name} have {listed(missed)}"
        raise InputError(
            f"only the test images of {test.name} have {listed(unknown)}{others if missed else ''}"
            ": both need the same classes, under the same names"
        )
    note = f"there is no test image of {listed(missed)}" if missed else ""
    return _relabelled(test, indices, train.class_names), note


def _occurring(data: ImageData) -> list[int]:
    """The classes that images are of."""
    return np.unique(data.labels[data.labels >= 0]).tolist()


def _relabelled(data: ImageData, indices: np.ndarray, class_names: Sequence[str]) -> ImageData:
    changed = copy.copy(data)
    known = data.labels >= 0
    changed.labels = np.full_like(data.labels, -1)
    changed.labels[known] = indices[data.labels[known]]
    changed.class_names = list(class_names)
    return changed
