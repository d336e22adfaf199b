"""What named data sets are: RGB images by index, with labels that cost no decoding; or a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from PIL import Image

from vitprobe.data.decode import Decoding, EncodedImage, decoded
from vitprobe.data.transforms import to_pil
from vitprobe.text import printable

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImageData(torch.utils.data.Dataset):
    """Labelled images; `data[i]` is (PIL image in RGB, int label).

    name: as it was asked for. split: `train`, `test` or `val`.
    labels: int64 array (N,), class indices; -1 where the class is unknown.
    class_names: one per class; empty where there are no classes.
    image_size: the side of every image in pixels; None where images differ or are not square.
    mean, std: three floats each (R, G, B), pixels in [0, 1].
    notes: what a reader of results should know of the data.
    decoding: how encoded images are decoded.

    Names are kept as they can be shown, with control characters escaped. A subclass gives
    `decode`; indexing raises what it raises (CorruptImage for a bad file).
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    notes: tuple[str, ...] = ()
    decoding: Decoding = Decoding()

    def __init__(self, name, split, labels, class_names, image_size):
        self.name, self.split = printable(name, longest=None), split
        self.labels = np.asarray(labels, dtype=np.int64)
        self.class_names = [
            printable(name) if isinstance(name, str) else str(name) for name in class_names
        ]
        self.image_size = image_size

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 where there are none."""
        return len(self.class_names)

    @cached_property
    def sha256(self) -> str:
        """Of the labels and, where images have files, of these files' names, in hex."""
        digest = hashlib.sha256(self.labels.tobytes())
        names = (path.rpartition("/")[2] for path in getattr(self, "paths", ()))
        digest.update("\n".join(names).encode(errors="surrogateescape"))
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return self.decode(index), int(self.labels[index])

    def decode(self, index: int) -> Image.Image:
        """The image at `index`, fully decoded, in RGB."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{self.name} ({self.split}): {len(self)} images, {self.num_classes} classes"


class ImageStream(torch.utils.data.IterableDataset):
    """A named data set that can only be read from its beginning to its end.

    Iterating gives (PIL image in RGB, int label), as stored; -1: unknown. mean, std, image_size,
    notes and decoding: as of ImageData. A subclass gives `encoded`.
    """

    mean, std = IMAGENET_MEAN, IMAGENET_STD
    image_size = None
    notes: tuple[str, ...] = ()
    decoding: Decoding = Decoding()
    once = False  # whether it can be read a single time only
    buffer = 0  # examples within which a seeded order is drawn

    def __init__(self, name: str):
        self.name = printable(name, longest=None)

    def encoded(self, order: str, seed: int, pass_index: int) -> Iterator[tuple[EncodedImage, int]]:
        """(image, label) in `file` order, or `seeded`: as (seed, pass_index) alone decide."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[tuple[Image.Image, int]]:
        for image, label in self.encoded("file", 0, 0):
            yield image.decode(), label


class ArrayImages(ImageData):
    """Images held in memory as uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3).

    Without given statistics, mean and std are the exact ones of these images.
    """

    def __init__(self, name, split, images, labels, class_names, mean_std=None):
        height, width = images.shape[1:3]
        super().__init__(name, split, labels, class_names, height if height == width else None)
        self.images = images
        if mean_std is not None:
            self._mean_std = mean_std

    def decode(self, index: int) -> Image.Image:
        return to_pil(self.images[index])

    @property
    def mean(self) -> tuple[float, float, float]:
        return self._mean_std[0]

    @property
    def std(self) -> tuple[float, float, float]:
        return self._mean_std[1]

    @cached_property
    def _mean_std(self):
        return channel_statistics(self.images)


class FileImages(ImageData):
    """Images decoded from files on demand; mean and std are ImageNet's."""

    def __init__(self, name, split, paths, labels, class_names):
        super().__init__(name, split, labels, class_names, image_size=None)
        self.paths = [str(path) for path in paths]

    def decode(self, index: int) -> Image.Image:
        return decoded(self.paths[index], self.paths[index], self.decoding)


class SomeOf(ImageData):
    """Some images of a data set, by their rows (n,) int64; mean and std are those of all."""

    def __init__(self, data: ImageData, rows: torch.Tensor):
        self._data, self._rows = data, rows.tolist()
        labels = data.labels[self._rows]
        super().__init__(data.name, data.split, labels, data.class_names, data.image_size)
        self.mean, self.std, self.notes = data.mean, data.std, data.notes
        if (paths := getattr(data, "paths", None)) is not None:
            self.paths = [paths[row] for row in self._rows]

    def decode(self, index: int) -> Image.Image:
        return self._data.decode(self._rows[index])


def channel_statistics(images: np.ndarray) -> tuple[tuple, tuple]:
    """Mean and std (population) of each channel, pixels in [0, 1], exact from 256-bin histograms.

    images: uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3); grey gives three equal values. A channel
    that never varies gets std 1, so that dividing by it is harmless.
    """
    channels = images.reshape(*images.shape[:3], -1)
    values, mean, std = np.arange(256) / 255, [], []
    for c in range(channels.shape[3]):
        # image by image: bincount widens its input to 64 bits
        counts = sum(np.bincount(image[..., c].ravel(), minlength=256) for image in channels)
        weights = counts / counts.sum()
        mean.append(float(weights @ values))
        std.append(float(np.sqrt(weights @ (values - mean[-1]) ** 2)) or 1.0)
    repeat = 3 // len(mean)
    return tuple(mean * repeat), tuple(std * repeat)
