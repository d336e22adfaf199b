"""WebDataset shards that can only be read from beginning to end: URLs, pipes, compressed tars."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator

from vitprobe.data.extras import library
from vitprobe.data.images import EncodedImage, ImageStream
from vitprobe.data.order import pass_seed
from vitprobe.data.shard_names import compression, is_remote
from vitprobe.data.tar_index import IMAGE_FIELDS, LABEL_FIELDS, class_index, no_images
from vitprobe.errors import InputError

_READ = {*IMAGE_FIELDS, *LABEL_FIELDS}


class ShardStream(ImageStream):
    """The samples of shards, read by webdataset.

    A seeded order draws the order of the shards, then the samples from a buffer: unlike in a
    permutation of all, samples that are stored near each other stay rather near.
    """

    buffer = 1000

    def __init__(self, name: str, shards: list[str]):
        super().__init__(name)
        self._shards, self.once = shards, "-" in shards

    def encoded(self, order: str, seed: int, pass_index: int) -> Iterator[tuple[EncodedImage, int]]:
        shards = list(self._shards)
        if order == "file":
            yield from self._samples(shards)
            return
        draw = random.Random(pass_seed(seed, pass_index))
        draw.shuffle(shards)
        shuffled = library("webdataset", "wds").shuffle(self.buffer, initial=self.buffer, rng=draw)
        yield from shuffled(self._samples(shards))

    def _samples(self, shards: list[str]) -> Iterator[tuple[EncodedImage, int]]:
        found = False
        for shard in shards:
            try:
                for sample in _of_shard(shard):
                    found = True
                    yield sample
            except InputError:
                raise
            except Exception as error:  # of tarfile, the decompressors, the commands of URLs
                args = [str(part) for part in error.args]
                reason = " ".join((args or [type(error).__name__])[0].split())
                raise InputError(
                    f"shard {shard} cannot be read: not there, cut off, or not a tar file "
                    f"({reason.partition(' @ <')[0]})"
                ) from error
        if not found:
            raise no_images(self.name)


def _of_shard(shard: str) -> Iterator[tuple[EncodedImage, int]]:
    iterators = library("webdataset", "wds").tariterators
    file = _opened(shard)
    files = iterators.tar_file_expander(
        iter([{"url": shard, "stream": file}]),
        select_files=lambda name: (iterators.base_plus_ext(name)[1] or "").lower() in _READ,
    )
    for sample in iterators.group_by_keys(files):
        field = next((field for field in IMAGE_FIELDS if field in sample), None)
        if field is not None:
            path = f"{shard}/{sample['__key__']}.{field}"
            yield EncodedImage(path, sample[field]), class_index(sample)
    while file.read(1 << 20):  # a command that is not heard to its end fails, and a checksum
        pass  # may stand there
    if shard != "-":
        file.close()  # says whether the command failed


def _opened(shard: str):
    if is_remote(shard):
        return library("webdataset", "wds").gopen(shard)
    kind = compression(shard)
    if not kind:
        return open(shard, "rb")
    try:
        return importlib.import_module(kind).open(shard, "rb")
    except ImportError as error:
        raise InputError(f"shard {shard} is compressed with {kind}: decompress it") from error
