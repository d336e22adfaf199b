"""Where the samples of a WebDataset shard are: one look at a tar file's headers."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from vitprobe.data.layout import listed
from vitprobe.data.npz import MOST_CLASSES
from vitprobe.errors import InputError
from vitprobe.files import open_file
from vitprobe.text import printable

T = TypeVar("T")

# A sample's image is the first of these that it has.
IMAGE_FIELDS = ("jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "tif", "tiff", "gif")
LABEL_FIELDS = ("cls", "json")
LABEL_BYTES = 1 << 24
EXTENSION_BYTES = 1 << 20  # of a name or of attributes that a tar has beside a header
_EXTENSIONS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
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

    split_name: "a/0001.seg.png" -> ("a/0001", "seg.png"), or (None, None); webdataset's.

    Raises InputError for a file that is not a whole tar, and a name that is twice in a sample.
    """
    with open_file(path, "shard") as file:
        members = ((member.name, member) for member in _members(path, file))
        for _, fields in grouped(members, split_name, path):
            yield _sample(fields, file, path), set(fields)


def grouped(
    files: Iterable[tuple[str, T]], split_name: Callable[[str], tuple], path: str
) -> Iterator[tuple[str, dict[str, T]]]:
    """(name, content) of files -> (key, field -> content) of samples, which are the files that
    follow each other with the same first part. Raises InputError for a name that is twice in one.
    """
    key, fields = None, {}
    for name, content in files:
        own, field = split_name(name)
        if own is None:
            continue
        if own != key and fields:
            yield key, fields
            fields = {}
        key, field = own, field.lower()
        if field in fields:
            where = f"shard {printable(path)} has {printable(name)}"
            raise InputError(f"{where} twice: write it anew")
        fields[field] = content
    if fields:
        yield key, fields


def regular_members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The files of a tar, one after the other, without webdataset's own."""
    while (info := archive.next()) is not None:
        archive.members.clear()  # else it keeps them all
        if info.isreg() and not _META.match(info.name):
            yield info


class BoundedInfo(tarfile.TarInfo):
    """A tar's header, where names and attributes that follow it are of bounded size."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        info = super().frombuf(buf, encoding, errors)
        if info.type in _EXTENSIONS and info.size > EXTENSION_BYTES:
            raise tarfile.ReadError(f"a member's name or attributes of {info.size:,} bytes")
        return info


def check_label_bytes(path: str, name: str, size: int) -> None:
    """Raises InputError for a label of more bytes than are read."""
    if size > LABEL_BYTES:
        where = f"shard {printable(path)}: {printable(name)}"
        raise InputError(f"{where} has {size:,} bytes: more than a label ({LABEL_BYTES:,})")


def class_index(fields: dict[str, bytes]) -> int:
    """The label: `cls` as text, else `label` in `json`; -1 where it is no class index, and
    MOST_CLASSES where it is one of that or more."""
    try:
        if "cls" in fields:
            label = int(fields["cls"])
        else:
            held = json.loads(fields.get("json", b"{}"))
            label = held.get("label") if isinstance(held, dict) else None
    except (ValueError, RecursionError):  # of int and of json, also for bytes that are no text
        return -1
    known = isinstance(label, int) and not isinstance(label, bool) and label >= 0
    return min(label, MOST_CLASSES) if known else -1


def no_images(name: str, fields: Iterable[str] = ()) -> InputError:
    """What to raise where no sample has an image; `fields`: what they have instead."""
    found = f"; the samples have {listed(sorted(fields), 8)}" if fields else ""
    return InputError(f"no images in {name}: expected {', '.join(IMAGE_FIELDS)}{found}")


def _sample(fields: dict[str, Member], file, path: str) -> Sample | None:
    image = next((fields[field] for field in IMAGE_FIELDS if field in fields), None)
    if image is None:
        return None
    content = {}
    for field in LABEL_FIELDS:
        if field in fields and not content:
            check_label_bytes(path, fields[field].name, fields[field].size)
            file.seek(fields[field].offset)
            content[field] = file.read(fields[field].size)
    return Sample(image, class_index(content))


def _members(path: str, file) -> Iterator[Member]:
    """The regular files of a tar; of its bytes only the headers are read."""
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=BoundedInfo) as archive:
            for info in regular_members(archive):
                yield Member(info.name, info.offset_data, info.size)
            # tarfile takes a header that it cannot read, and the end of the file, for the end
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(
                    f"neither a file nor the archive's end at byte {archive.offset:,}"
                )
    except InputError:
        raise
    except Exception as error:  # of damaged headers: many types
        reason = printable(" ".join(str(error).split()))
        raise InputError(
            f"shard {printable(path)} cannot be read: cut off, or not a tar file ({reason})"
        ) from error
