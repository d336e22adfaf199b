"""`zip:PATH`: the folders of `imagefolder:PATH` in one archive, read without unpacking it."""

from __future__ import annotations

import io
import os
import threading
import zipfile
from pathlib import Path

from PIL import Image

from vitprobe.data.images import CorruptImage, ImageData, decoded
from vitprobe.data.layout import SPLIT_FOLDERS, find_images, is_image, natural
from vitprobe.errors import InputError

_SPLITS = {name for names in SPLIT_FOLDERS.values() for name in names}
_NONE = (None, None, None)  # process, archive, lock


def zipped(path: str | Path, split: str) -> ZipImages:
    """The images in the zip file at `path`, in the layouts and the order of `imagefolder`.

    The layout starts at the archive's top, or in the only folder there, if that holds folders and
    is not a split's itself. mean and std are ImageNet's. Raises InputError for a file that is
    missing, not a zip file or cut off, for encrypted images, a split that is not there and an
    archive without images.
    """
    file = Path(path).expanduser()
    with _open(file) as archive:
        members = archive.infolist()
    tree = _Members(file, [member.filename for member in members])
    found = find_images(tree, split)
    locked = {member.filename for member in members if member.flag_bits & 1}
    if locked.intersection(found.paths):
        raise InputError(f"the images in {file} are encrypted: unpack it, and use imagefolder:PATH")
    data = ZipImages(f"zip:{path}", split, file, found.paths, found.labels, found.class_names)
    data.notes = found.notes
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
            with lock:
                content = archive.read(self._members[index])
        except Exception as error:  # zipfile's and zlib's: many types on damaged bytes
            raise CorruptImage(self.paths[index], error) from error
        return decoded(io.BytesIO(content), self.paths[index])

    def _opened(self) -> tuple[zipfile.ZipFile, threading.Lock]:
        """This process's archive: a fork shares its parent's file offset, and maybe a held lock."""
        process, *opened = self._handle
        if process != os.getpid():  # two threads at once: each opens one, and the last is kept
            opened = _open(self._file), threading.Lock()
            self._handle = (os.getpid(), *opened)
        return tuple(opened)


class _Members:
    """The members of an archive as a Tree of the layouts."""

    def __init__(self, file: Path, names: list[str]):
        self.name = str(file)
        self._folders: dict[tuple[str, ...], set[str]] = {}
        self._files: dict[tuple[str, ...], list[str]] = {}
        for name in dict.fromkeys(names):
            *where, last = name.split("/")  # of a folder, the last is empty
            if any(part[:1] in (".", "") or part == "__MACOSX" for part in where):
                continue
            for depth, part in enumerate(where):
                self._folders.setdefault(tuple(where[:depth]), set()).add(part)
            if last and is_image(last):
                self._files.setdefault(tuple(where), []).append(name)
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
    try:
        return zipfile.ZipFile(file)
    except FileNotFoundError as error:
        raise InputError(f"zip:{file}: no such file") from error
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"zip:{file} cannot be read: cut off, or not a zip file ({reason})"
        ) from error
