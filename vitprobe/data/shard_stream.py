"""WebDataset shards that can only be read from beginning to end: URLs, pipes, compressed tars."""

from __future__ import annotations

import importlib
import random
import tarfile
from collections.abc import Iterator

from vitprobe.data.decode import CorruptImage, EncodedImage
from vitprobe.data.extras import library
from vitprobe.data.images import ImageStream
from vitprobe.data.order import pass_seed
from vitprobe.data.shard_names import compression, is_remote
from vitprobe.data.tar_index import (
    IMAGE_FIELDS,
    LABEL_FIELDS,
    BoundedInfo,
    check_label_bytes,
    class_index,
    grouped,
    no_images,
    regular_members,
)
from vitprobe.errors import InputError
from vitprobe.files import open_file
from vitprobe.text import printable


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
                for sample in self._of_shard(shard):
                    found = True
                    yield sample
            except InputError:
                raise
            except Exception as error:  # of tarfile, the decompressors, the commands of URLs
                args = [str(part) for part in error.args]
                reason = printable(" ".join((args or [type(error).__name__])[0].split()))
                raise InputError(
                    f"shard {printable(shard)} cannot be read: not there, cut off, or not a tar "
                    f"file ({reason})"
                ) from error
        if not found:
            raise no_images(self.name)

    def _of_shard(self, shard: str) -> Iterator[tuple[EncodedImage, int]]:
        split_name = library("webdataset", "wds").tariterators.base_plus_ext
        file = _opened(shard)
        with tarfile.open(fileobj=file, mode="r|*", tarinfo=BoundedInfo) as archive:
            files = self._contents(shard, archive, split_name)
            for key, fields in grouped(files, split_name, shard):
                field = next((field for field in IMAGE_FIELDS if field in fields), None)
                if field is not None:
                    path = f"{shard}/{key}.{field}"
                    yield EncodedImage(path, fields[field], self.decoding), class_index(fields)
        while file.read(1 << 20):  # a command that is not heard to its end fails, and a checksum
            pass  # may stand there
        if shard != "-":
            file.close()  # says whether the command failed

    def _contents(self, shard: str, archive, split_name) -> Iterator[tuple[str, bytes]]:
        """Name and content of the images and labels in a tar, none of it larger than allowed."""
        for info in regular_members(archive):
            field = (split_name(info.name)[1] or "").lower()
            if field in LABEL_FIELDS:
                check_label_bytes(shard, info.name, info.size)
            elif field in IMAGE_FIELDS:
                try:
                    self.decoding.check_bytes(info.size)
                except InputError as error:
                    raise CorruptImage(f"{shard}/{info.name}", error) from error
            else:
                continue
            yield info.name, archive.extractfile(info).read()


def _opened(shard: str):
    if is_remote(shard):
        return library("webdataset", "wds").gopen(shard)
    kind = compression(shard)
    if not kind:
        return open_file(shard, "shard")
    try:
        return importlib.import_module(kind).open(shard, "rb")
    except ImportError as error:
        raise InputError(
            f"shard {printable(shard)} is compressed with {kind}: decompress it"
        ) from error
