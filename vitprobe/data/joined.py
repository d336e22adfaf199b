"""Training and test images as one data set, so that one pass shows both."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from vitprobe.data.batch import class_count
from vitprobe.data.images import ImageData


class JoinedImages(ImageData):
    """Named training images, then named test images: rows of one set or of two.

    It is called as the test images are, and normalised as the training images.

    Attributes: `trained` (how many come first, the training images); `train_name`.
    """

    def __init__(
        self,
        train: ImageData,
        test: ImageData,
        train_rows: Sequence[int] | None = None,
        test_rows: Sequence[int] | None = None,
        notes: Sequence[str] = (),
    ):
        self._sides = [
            (data, np.arange(len(data)) if rows is None else np.asarray(rows))
            for data, rows in ((train, train_rows), (test, test_rows))
        ]
        labels = np.concatenate([data.labels[rows] for data, rows in self._sides])
        size = train.image_size if train.image_size == test.image_size else None
        super().__init__(test.name, test.split, labels, test.class_names, size)
        self.trained, self.train_name = len(self._sides[0][1]), train.name
        self.mean, self.std = train.mean, train.std
        self.notes = tuple(dict.fromkeys([*train.notes, *test.notes, *notes]))

    @property
    def sha256(self) -> str:
        """Of both sides' own, and of which of their images are which."""
        digest = hashlib.sha256()
        for data, rows in self._sides:
            digest.update(data.sha256.encode())
            digest.update(rows.astype(np.int64).tobytes())
        return digest.hexdigest()

    def decode(self, index: int) -> Image.Image:
        side = index >= self.trained
        data, rows = self._sides[side]
        return data.decode(int(rows[index - side * self.trained]))


class JoinedExamples(torch.utils.data.Dataset):
    """The same of any two map-style data sets of (image, label)."""

    def __init__(self, train, test):
        self._train, self._test = train, test
        self.trained = len(train)
        self.name, self.train_name = (
            getattr(data, "name", None) or type(data).__name__ for data in (test, train)
        )
        self.num_classes = class_count(train) or class_count(test)
        size = getattr(train, "image_size", None)
        self.image_size = size if size == getattr(test, "image_size", None) else None

    def __len__(self) -> int:
        return self.trained + len(self._test)

    def __getitem__(self, index: int):
        if index < self.trained:
            return self._train[index]
        return self._test[index - self.trained]
