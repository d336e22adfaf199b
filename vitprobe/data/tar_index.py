"""Where the samples of a WebDataset shard are: one look at a tar file's headers."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from vitprobe.errors import InputError

# A sample's image is the first of these that it has.
IMAGE_FIELDS = ("jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "tif", "tiff", "gif")
LABEL_FIELDS = ("cls", "json")
_META = re.compile(r"__[^/]*__($|/)")  # webdataset's own members, which are no samples


class Member(NamedTuple):
    """A file in a tar: its name, and where its bytes are."""

    name: str
    offset: int
    size: int


class Sample(NamedTuple):
    """What a sample has that is read: its image and its label (-1: unknown)."""

    image: Member
    label: int


def samples(path: str, split_name: Callable[[str], tuple]) -> Iterator[tuple[Sample | None, set]]:
    """Each sample of an uncompressed tar, in its order, with its fields; None: it has no image.

    split_name: "a/0001.seg.png" -> ("a/0001", "seg.png"), or (None, None); webdataset's. Files that
    follow each other with the same first part are a sample.

    Raises InputError for a file that is not a whole tar, and a name that is twice in a sample.
    """
    with open(path, "rb") as file:
        key, fields = None, {}
        for member in _members(path, file):
            own, field = split_name(member.name)
            if own is None:
                continue
            if own != key and fields:
                yield _sample(fields, file), set(fields)
                fields = {}
            key, field = own, field.lower()
            if field in fields:
                raise InputError(f"shard {path} has {member.name} twice: write it anew")
            fields[field] = member
        if fields:
            yield _sample(fields, file), set(fields)


def class_index(fields: dict[str, bytes]) -> int:
    """The label: `cls` as text, else `label` in `json`; -1 where it is no class index."""
    try:
        if "cls" in fields:
            label = int(fields["cls"])
        else:
            held = json.loads(fields.get("json", b"{}"))
            label = held.get("label") if isinstance(held, dict) else None
    except ValueError:  # of int and of json, also for bytes that are no text
        return -1
    known = isinstance(label, int) and not isinstance(label, bool) and label >= 0
    return label if known else -1


def no_images(name: str, fields: Iterable[str] = ()) -> InputError:
    """What to raise where no sample has an image; `fields`: what they have instead."""
    found = f"; the samples have {', '.join(sorted(fields)[:8])}" if fields else ""
    return InputError(f"no images in {name}: expected {', '.join(IMAGE_FIELDS)}{found}")


def _sample(fields: dict[str, Member], file) -> Sample | None:
    image = next((fields[field] for field in IMAGE_FIELDS if field in fields), None)
    if image is None:
        return None
    content = {}
    for field in LABEL_FIELDS:
        if field in fields and not content:
            file.seek(fields[field].offset)
            content[field] = file.read(fields[field].size)
    return Sample(image, class_index(content))


def _members(path: str, file) -> Iterator[Member]:
    """The regular files of a tar; of its bytes only the headers are read."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # else it keeps them all
                if info.isreg() and not _META.match(info.name):
                    yield Member(info.name, info.offset_data, info.size)
            # tarfile takes a header that it cannot read, and the end of the file, for the end
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(
                    f"neither a file nor the archive's end at byte {archive.offset:,}"
                )
    except (OSError, tarfile.TarError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"shard {path} cannot be read: cut off, or not a tar file ({reason})"
        ) from error
