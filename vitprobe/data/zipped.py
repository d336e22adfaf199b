"""`zip:PATH`: the folders of `imagefolder:PATH` in one archive, read without unpacking it."""

from __future__ import annotations

import os
import re
import threading
import zipfile
from collections import Counter
from pathlib import Path

from PIL import Image

from vitprobe.data.decode import CorruptImage, decoded
from vitprobe.data.images import ImageData
from vitprobe.data.layout import SPLIT_FOLDERS, find_images, is_image, listed, natural
from vitprobe.errors import InputError
from vitprobe.files import expanded, regular_file
from vitprobe.text import printable

_SPLITS = {name for names in SPLIT_FOLDERS.values() for name in names}
_DEPTH = 3  # folders of a name that the layouts tell apart: one at the top, a split's, a class's
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others have no bound while they expand
_PASSED_OVER = re.compile(r"/(\.|__MACOSX/|/)")  # hidden, a Mac's second files, names without end
_NONE = (None, None, None)  # process, archive, lock


def zipped(path: str | Path, split: str) -> ZipImages:
    """The images in the zip file at `path`, in the layouts and the order of `imagefolder`.

    The layout starts at the archive's top, or in the only folder there, if that holds folders and
    is not a split's itself. Of several members of one name the last counts, and a note says so;
    names that lead out of the archive (`/a`, `..`) are passed over. mean and std are ImageNet's.
    Raises InputError for a file that is missing, not a zip file or cut off, for encrypted images, a
    split that is not there and an archive without images.
    """
    file = expanded(path, "zip")
    with _open(file) as archive:
        members = archive.infolist()
    tree = _Members(file, [member.filename for member in members])
    found = find_images(tree, split)
    notes = found.notes
    if again := [name for name, count in Counter(tree.names).items() if count > 1]:
        notes += (f"of members of {tree.name} with one name, the last counts: {listed(again)}",)
    locked = {member.filename for member in members if member.flag_bits & 1}
    if locked.intersection(found.paths):
        raise InputError(
            f"the images in {tree.name} are encrypted: unpack it, and use imagefolder:PATH"
        )
    data = ZipImages(f"zip:{path}", split, file, found.paths, found.labels, found.class_names)
    data.notes = notes
    return data


class ZipImages(ImageData):
    """Images decoded from the members of a zip file on demand; `paths` are ARCHIVE/MEMBER.

    Threads share one open file, under a lock while they read bytes; a process that was forked or
    that received this object opens the file anew.
    """

    def __init__(self, name, split, file, members, labels, class_names):
        super().__init__(name, split, labels, class_names, image_size=None)
        self._file, self._members = Path(file), list(members)
        self.paths = [f"{file}/{member}" for member in self._members]
        self._handle = _NONE

    def __getstate__(self) -> dict:  # a spawned worker gets no open file
        return {**self.__dict__, "_handle": _NONE}

    def decode(self, index: int) -> Image.Image:
        archive, lock = self._opened()
        try:
            member = archive.getinfo(self._members[index])
            if member.compress_type not in _METHODS:
                raise InputError("compressed otherwise than by deflate: zip it anew")
            self.decoding.check_bytes(member.file_size)
            with lock, archive.open(member) as opened:  # zipfile reads no more than that
                content = opened.read()
        except Exception as error:  # zipfile's and zlib's: many types on damaged bytes
            raise CorruptImage(self.paths[index], error) from error
        return decoded(content, self.paths[index], self.decoding)

    def _opened(self) -> tuple[zipfile.ZipFile, threading.Lock]:
        """This process's archive: a fork shares its parent's file offset, and maybe a held lock."""
        process, *opened = self._handle
        if process != os.getpid():  # two threads at once: each opens one, and the last is kept
            opened = _open(self._file), threading.Lock()
            self._handle = (os.getpid(), *opened)
        return tuple(opened)


class _Members:
    """The members of an archive as a Tree of the layouts.

    names: of the images, as they are stored.
    """

    def __init__(self, file: Path, names: list[str]):
        self.name = printable(file, longest=None)
        self.names: list[str] = []
        self._folders: dict[tuple[str, ...], set[str]] = {}
        self._files: dict[tuple[str, ...], dict[str, None]] = {}  # names, each once
        for name in names:
            folder, slash, last = name.rpartition("/")  # of a folder, the last is empty
            if slash and _PASSED_OVER.search(f"/{folder}/"):
                continue
            where = tuple(folder.split("/", _DEPTH)[:_DEPTH]) if slash else ()
            for depth, part in enumerate(where):
                self._folders.setdefault(where[:depth], set()).add(part)
            if last and is_image(last):
                self.names.append(name)
                self._files.setdefault(where, {})[name] = None
        self._top = self._wrapping()

    def _wrapping(self) -> tuple[str, ...]:
        """The only folder at the archive's top, if the layout starts in it; else ()."""
        top = tuple(self._folders.get((), ()))
        only = len(top) == 1 and top[0] not in _SPLITS and () not in self._files
        return top if only and top in self._folders else ()

    def folders(self, *where: str) -> list[str]:
        return sorted(self._folders.get((*self._top, *where), ()))

    def images(self, *where: str, deep: bool) -> list[str]:
        found, folder = [], (*self._top, *where)
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            found += self._files.get(here, ())
            waiting += [(*here, name) for name in self._folders.get(here, ()) if deep]
        return sorted(found, key=lambda name: natural(name[len("/".join(folder)) :]))


def _open(file: Path) -> zipfile.ZipFile:
    path = regular_file(file, "zip file")
    try:
        return zipfile.ZipFile(path)
    except Exception as error:  # of damaged headers: many types
        reason = printable(" ".join(str(error).split()))
        raise InputError(
            f"zip:{printable(file)} cannot be read: cut off, or not a zip file ({reason})"
        ) from error
