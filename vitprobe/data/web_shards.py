"""`wds:PATTERN`: WebDataset shards, indexed where they can be, else read as a stream."""

from __future__ import annotations

from array import array

import numpy as np
from PIL import Image

from vitprobe.data.decode import CorruptImage, decoded
from vitprobe.data.extras import library
from vitprobe.data.images import ImageData, ImageStream
from vitprobe.data.npz import MOST_CLASSES
from vitprobe.data.shard_names import compression, is_remote, shard_names
from vitprobe.data.shard_stream import ShardStream
from vitprobe.data.tar_index import no_images, samples
from vitprobe.errors import InputError
from vitprobe.files import open_file
from vitprobe.text import printable


def web_shards(pattern: str, split: str) -> ImageData | ImageStream:
    """The samples of the shards that `pattern` means (see `shard_names`), whatever the split.

    Tar files on a disk become a data set by index: their headers are read once, and an image when
    it is asked for; so order, seeds and examples are those of any other data set. URLs, `pipe:`,
    `-` and compressed tars are a stream.

    The image is the first field of tar_index.IMAGE_FIELDS that a sample has; the label is `cls` (a
    number as text), else `label` in `json`, else -1. Classes are 0 .. max(label), mean and std
    ImageNet's. Raises InputError without the library webdataset (`[wds]`), for shards that are
    missing or broken, and where no sample has an image.
    """
    webdataset = library("webdataset", "wds")
    shards, name = shard_names(str(pattern)), f"wds:{pattern}"
    if any(is_remote(shard) or compression(shard) for shard in shards):
        return ShardStream(name, shards)
    return TarImages(name, split, shards, webdataset.tariterators.base_plus_ext)


class TarImages(ImageData):
    """Images read from the members of tar files on demand; `paths` are SHARD/MEMBER.

    A file is opened for each image: threads, forks and thousands of shards need no care then.
    """

    def __init__(self, name: str, split: str, shards: list[str], split_name):
        self.paths, labels = [], array("q")
        where, without, fields = array("q"), 0, set()
        for number, shard in enumerate(shards):
            for sample, has in samples(shard, split_name):
                if sample is None:
                    without, fields = without + 1, fields | has
                    continue
                self.paths.append(f"{shard}/{sample.image.name}")
                labels.append(sample.label)
                where.extend((number, sample.image.offset, sample.image.size))
        if not self.paths:
            raise no_images(name, fields)
        labels = np.array(labels)
        if labels.max() >= MOST_CLASSES:
            raise InputError(
                f"{printable(name, longest=None)}: labels must be class indices from 0, found one "
                f"over {MOST_CLASSES:,}"
            )
        classes = range(int(labels.max()) + 1)
        super().__init__(name, split, labels, classes, image_size=None)
        self._shards, self._where = shards, np.array(where).reshape(-1, 3)
        if without:
            self.notes = (f"samples of {self.name} that have no image were left out: {without}",)

    def decode(self, index: int) -> Image.Image:
        shard, offset, size = self._where[index].tolist()
        try:
            self.decoding.check_bytes(size)
            with open_file(self._shards[shard], "shard") as file:
                file.seek(offset)
                content = file.read(size)
        except (OSError, InputError) as error:
            raise CorruptImage(self.paths[index], error) from error
        return decoded(content, self.paths[index], self.decoding)
